# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Strong augmentation: views that no camera on a car has, so that training knows other scenes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubcn_ros.data.log_uniform import log_uniform


@dataclass(frozen=True)
class Recolouring:
    """
    Other colours of an image.

    :param channels: which becomes red, green and blue.
    :param negative: then all become negatives.
    :param saturation, contrast, brightness: factors; contrast is about the mean.
    """

    channels: tuple[int, ...]
    negative: bool
    saturation: float
    contrast: float
    brightness: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Recolouring:
        """Draw one."""
        channels = rng.permutation(3) if rng.random() < 0.5 else range(3)
        return cls(tuple(int(c) for c in channels), bool(rng.random() < 0.15),
                   float(rng.uniform(0.0, 2.0)), log_uniform(rng, 0.7, 1.7),
                   float(rng.uniform(0.6, 1.4)))


def augment_strongly(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
                 ) -> tuple[np.ndarray, np.ndarray]:
    """
    Turn, resize and recolour a frame far beyond what a drive shows.

    A network that has seen nothing but streets takes what is odd about another picture, fine and
    hard textures where the road should be, for rain, and lifts a veil that is not there.

    :param image: (H, W, 3) uint8 RGB.
    :param labels: (H, W) uint8 ids, which go along with the pixels.
    :return: both, of the same sizes: turned by a multiple of 90 degrees, a part enlarged up to
        three times or the whole shrunk and repeated in mirrors, with other colours and contrast.
    """
    image, labels = change_view(image, labels, rng)
    return _recoloured(image, Recolouring.draw(rng)), labels


def change_view(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
                ) -> tuple[np.ndarray, np.ndarray]:
    """
    Turn and resize a frame, the colours as they are.

    :param image: (H, W, 3) uint8 RGB.
    :param labels: (H, W) uint8 ids, which go along with the pixels.
    :return: both, of the same sizes.
    """
    height, width = labels.shape
    turns, zoom = int(rng.integers(4)), log_uniform(rng, 0.4, 3.0)
    spot = rng.random(2)
    image = _window(np.rot90(image, turns), zoom, (height, width), spot, cv2.INTER_LINEAR)
    labels = _window(np.rot90(labels, turns), zoom, (height, width), spot,
                     cv2.INTER_NEAREST_EXACT)
    return image, labels


def _window(part: np.ndarray, zoom: float, size: tuple[int, int], spot: np.ndarray,
            interpolation: int) -> np.ndarray:
    """Resize by the factor, repeat in mirrors up to the size, cut the size out at the spot."""
    if zoom < 1 and part.ndim == 3:
        interpolation = cv2.INTER_AREA
    part = cv2.resize(np.ascontiguousarray(part), None, fx=zoom, fy=zoom,
                      interpolation=interpolation)
    missing = [(0, max(0, wanted - have)) for wanted, have in zip(size, part.shape, strict=False)]
    part = np.pad(part, missing + [(0, 0)] * (part.ndim - 2), mode='symmetric')
    top, left = (int(s * (have - wanted + 1))
                 for s, have, wanted in zip(spot, part.shape, size, strict=False))
    return np.ascontiguousarray(part[top:top + size[0], left:left + size[1]])


def _recoloured(image: np.ndarray, drawn: Recolouring) -> np.ndarray:
    values = image[..., drawn.channels].astype(np.float32)
    if drawn.negative:
        values = 255 - values
    grey = values.mean(2, keepdims=True)
    values = grey + drawn.saturation * (values - grey)
    middle = float(grey.mean())
    values = (values - middle) * drawn.contrast + middle * drawn.brightness
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
