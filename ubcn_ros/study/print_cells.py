# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a printed figure shows in its cells, each drawn at the number of pixels that is printed.

Values are scaled before they get their colours: the mean of two may be another class's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache

import cv2
import numpy as np

from ubcn_ros.labels import UNLABELED, LabelSet

WRONG, WITHOUT_LABEL = (214, 39, 40), (120, 130, 140)
"""RGB of pixels that are labelled wrongly, and of those whose label is not known."""
Zoom = tuple[int, int, int, int]
"""Left, top, width and height of a part of an image, pixels."""
_VOID = (224, 224, 192)
_PALE = 0.3  # contrast that is left of the image behind wrong labels


@dataclass(frozen=True)
class Panel:
    """
    Arrays of one image.

    :param caption: stands below, in bold where it is the best.
    :param zoom: what is shown larger in a corner.
    """

    caption: str = ''
    bold: bool = False
    zoom: Zoom | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        height, width = self._arrays()[0][1].shape[:2]
        return width, height

    def crop(self, left: int, top: int, width: int, height: int) -> Panel:
        """Return a part, in pixels of the whole."""
        return replace(self, **{name: array[top:top + height, left:left + width]
                                for name, array in self._arrays()})

    def at(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        raise NotImplementedError

    def _arrays(self) -> list[tuple[str, np.ndarray]]:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [(name, value) for name, value in values if isinstance(value, np.ndarray)]


@dataclass(frozen=True, kw_only=True)
class Picture(Panel):
    """An image, (H, W, 3) uint8 RGB."""

    image: np.ndarray

    def at(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB: averaged where it shrinks, else cubic."""
        return _scaled(self.image, width, height)


@dataclass(frozen=True, kw_only=True)
class LabelMap(Panel):
    """Class ids, (H, W) uint8, 255 without a label, in the colours of a label set."""

    labels: np.ndarray
    label_set: LabelSet

    def at(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB: of every pixel the class that has most of it."""
        ids = np.unique(self.labels)
        if width >= self.size[0] or len(ids) == 1:
            return self._colors(cv2.resize(self.labels, (width, height),
                                           interpolation=cv2.INTER_NEAREST))
        shares = [cv2.resize((self.labels == i).astype(np.float32), (width, height),
                             interpolation=cv2.INTER_AREA) for i in ids]
        return self._colors(ids[np.argmax(shares, 0)])

    def _colors(self, labels: np.ndarray) -> np.ndarray:
        palette = self.label_set.palette()
        palette[UNLABELED] = unlabeled_color(self.label_set)
        return palette[labels]


@dataclass(frozen=True, kw_only=True)
class ErrorMap(Panel):
    """Absolute errors, (H, W) float32, in the colours of ``error_colors``; ``highest`` and above
    are the last of them."""

    error: np.ndarray
    highest: float

    def at(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB, of mean errors where it shrinks."""
        error = _scaled(self.error, width, height) * (255 / self.highest)
        return error_colors()[np.clip(np.rint(error), 0, 255).astype(np.uint8)]


@dataclass(frozen=True, kw_only=True)
class WrongLabels(Panel):
    """
    Where labels are wrong, over a pale image.

    :param image: (H, W, 3) uint8 RGB.
    :param labels, truth: (H, W) uint8 ids, 255 in ``truth`` where none is known.
    """

    image: np.ndarray
    labels: np.ndarray
    truth: np.ndarray

    @property
    def unknown(self) -> np.ndarray:
        """(H, W) bool: which pixels have no true label."""
        return self.truth == UNLABELED

    @property
    def wrong(self) -> np.ndarray:
        """(H, W) bool: which of the others are labelled wrongly."""
        return (self.labels != self.truth) & ~self.unknown

    def at(self, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB: colours by the share of a pixel that is wrong."""
        grey = cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)
        drawn = 255 - _PALE * (255 - _scaled(grey, width, height).astype(np.float32))
        drawn = drawn[..., None].repeat(3, 2)
        for mask, color in ((self.unknown, WITHOUT_LABEL), (self.wrong, WRONG)):
            share = _scaled(mask.astype(np.float32), width, height).clip(0, 1)[..., None]
            drawn = drawn * (1 - share) + np.float32(color) * share
        return np.rint(drawn).astype(np.uint8)


def unlabeled_color(label_set: LabelSet) -> tuple[int, int, int]:
    """RGB of pixels without a label: black, or VOC2012's void where a class is black, as there."""
    return _VOID if (0, 0, 0) in label_set.colors else (0, 0, 0)


@cache
def error_colors() -> np.ndarray:
    """Colours from no error to the highest, (256, 3) uint8 RGB, ordered in grey prints, too."""
    from matplotlib import colormaps
    return np.rint(255 * colormaps['magma'](np.arange(256))[:, :3]).astype(np.uint8)


def _scaled(values: np.ndarray, width: int, height: int) -> np.ndarray:
    shrinks = width < values.shape[1]
    return cv2.resize(values, (width, height),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
