# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: class names, display colours, path groups of the semantic attentive module."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

UNLABELED = 255
"""Label id of a pixel without a class: ignored in training and evaluation, black in colour."""

MAX_CLASSES = 200
"""Most classes of a label set; ids above serve groups of classes in training, and 255."""

_DOMINANT = 9  # classes at most that have a path of their own: the paper's section 3.1
_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class LabelSet:
    """
    The classes that a segmentation network predicts; a model file holds its own.

    :param name: where the classes come from, for people.
    :param classes: names by class id, each once.
    :param colors: RGB, 0..255, by class id.
    :param paths: groups of class ids that share one path of the semantic attentive module: the
        dominant classes by pixel share, one each, then the others together (the paper's section
        3.1: 10 paths for Cityscapes, 2 for VOC2012).
    :raises ValueError: no class or too many; names that are empty or come twice; the number of
        colours differs from the number of classes, or one is not RGB; the paths are not a
        partition of the class ids.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    paths: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not 1 <= self.num_classes <= MAX_CLASSES:
            raise ValueError(f'label set {self.name!r} has {self.num_classes} classes: expected '
                             f'1 to {MAX_CLASSES}')
        twice = [name for name in self.classes if self.classes.count(name) > 1 or not name]
        if twice:
            raise ValueError(f'label set {self.name!r} has the class {twice[0]!r} twice, or '
                             'without a name: give each class a name of its own')
        if len(self.colors) != len(self.classes):
            raise ValueError(f'label set {self.name!r} has {len(self.classes)} classes but '
                             f'{len(self.colors)} colours: give one colour per class')
        for color in self.colors:
            if len(color) != 3 or not all(0 <= part <= 255 for part in color):
                raise ValueError(f'label set {self.name!r} has the colour {color}: expected red, '
                                 'green and blue, 0 to 255')
        ids = sorted(i for group in self.paths for i in group)
        if ids != list(range(self.num_classes)) or not all(self.paths):
            raise ValueError(f'the paths of label set {self.name!r} must hold each class id '
                             f'0..{self.num_classes - 1} exactly once, got {ids}')

    @property
    def num_classes(self) -> int:
        """Number of classes, without the unlabeled id."""
        return len(self.classes)

    def palette(self) -> np.ndarray:
        """Return the colour of every uint8 id, (256, 3) uint8 RGB, black without a class."""
        table = np.zeros((256, 3), np.uint8)
        table[:self.num_classes] = self.colors
        return table

    def colorize(self, labels: np.ndarray) -> np.ndarray:
        """Turn a label mask, (H, W) uint8 ids, into colours, (H, W, 3) uint8 RGB."""
        return np.take(self.palette(), labels, axis=0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON or YAML; ``ignore`` is the id of unlabeled pixels."""
        return {'name': self.name, 'classes': list(self.classes),
                'colors': [list(color) for color in self.colors],
                'paths': [list(group) for group in self.paths], 'ignore': UNLABELED}

    @classmethod
    def from_dict(cls, values: Any) -> LabelSet:
        """
        Rebuild a label set.

        :param values: as ``to_dict`` returns them.
        :raises ValueError: they are something else, or contradict each other.
        """
        try:
            return cls(str(values['name']), tuple(str(name) for name in values['classes']),
                       tuple(tuple(map(index, color)) for color in values['colors']),
                       tuple(tuple(map(index, group)) for group in values['paths']))
        except (KeyError, TypeError) as error:
            raise ValueError(f'{values!r} is not a label set: expected name, classes, colors and '
                             'paths') from error


def plain_name(name: str) -> str:
    """Name of a class as it is compared: case, `_`, `-` and blanks do not count."""
    return re.sub(r'[\s_-]+', '', name).casefold()


def dominant_paths(shares: Sequence[float]) -> tuple[tuple[int, ...], ...]:
    """
    Group classes into paths: one each for the nine with most pixels, and one for the others.

    :param shares: of the pixels, by class id, of any sum; of equal ones the first come first.
    """
    order = sorted(range(len(shares)), key=lambda i: (-shares[i], i))
    return paths_of(len(shares), order[:_DOMINANT])


def paths_of(num_classes: int, dominant: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    """Give each dominant class id a path of its own, and the others one together."""
    dominant = tuple(dominant)
    others = tuple(i for i in range(num_classes) if i not in dominant)
    return tuple((i,) for i in dominant) + ((others,) if others else ())


def distinct_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return colours for classes that come without: RGB 0..255, neighbours far apart in hue."""
    return tuple(
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(
            i * _GOLDEN_RATIO % 1, (0.85, 0.55)[i // 2 % 2], (0.95, 0.65)[i % 2]))
        for i in range(count))


def numbered_labels(num_classes: int) -> LabelSet:
    """Return classes without names, for a network that is timed or counted, not used."""
    return LabelSet('numbered', tuple(str(i) for i in range(num_classes)),
                    distinct_colors(num_classes), dominant_paths([0] * num_classes))
