# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures inside of a page, as data URIs that together keep to a size."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubcn_ros.images.files import data_uri

BUDGET = 22_500_000
"""Bytes of all pictures of a page, as text: a page stays below 25 MB."""

_MASK = 0.4
"""How much room a mask, which is stored without loss, takes beside an image, at first."""
_MOST_PIXELS = 1280 * 720
_BITS = 0.5  # of a pixel, at a quality of about 60
_BEST, _LEAST = 90, 20  # quality of WebP
_LOSSLESS = 101
_LONGEST_SIDE = 16383  # of WebP
_LEAST_SIDE = 16
_SMALLER = 0.7  # pixels, where pictures do not fit


class Album:
    """
    Encode pictures so that all together stay within a budget.

    The size of pictures follows from how many there will be; the quality from the room left.

    :param images: how many there will be, about.
    :param masks: how many masks of class ids, likewise.
    :param budget: bytes of all, as text.
    """

    def __init__(self, images: int, masks: int, budget: int = BUDGET) -> None:
        self._left, self._images, self._masks = float(budget), images, masks
        self._share = _MASK
        self._pixels = min(_MOST_PIXELS, self._room() * 8 / _BITS)
        self._quality = 75

    def image(self, image: np.ndarray) -> str:
        """Encode an image, (H, W, 3) uint8 RGB or (H, W) uint8 grey, as WebP."""
        room = self._room()
        small = self._fit(image, cv2.INTER_AREA, self._pixels)
        data = _webp(small, self._quality)
        while len(data) > room:
            if self._quality > _LEAST:
                self._quality = max(_LEAST, self._quality - 10)
            elif min(small.shape[:2]) > _LEAST_SIDE:
                self._pixels *= _SMALLER
                small = self._fit(image, cv2.INTER_AREA, self._pixels)
            else:
                break
            data = _webp(small, self._quality)
        if len(data) < 0.8 * room:
            self._quality = min(_BEST, self._quality + 3)
        self._images -= 1
        return self._taken(data)

    def mask(self, values: np.ndarray) -> str:
        """
        Encode (H, W) uint8 values without loss, as WebP; scaled down to the nearest.

        One that takes more room than masks so far gets it from the pictures to come, up to that
        of an image; beyond it, it becomes smaller, and those to come a little: masks with speckle
        would leave no room for the last pictures, one that is odd is no reason for small ones.
        """
        room, pixels = self._room(), self._pixels
        small = self._fit(values, cv2.INTER_NEAREST, pixels)
        data = _webp(small, _LOSSLESS)
        if len(data) > room:
            self._pixels *= _SMALLER
        while len(data) > room and min(small.shape[:2]) > _LEAST_SIDE:
            pixels *= _SMALLER
            small = self._fit(values, cv2.INTER_NEAREST, pixels)
            data = _webp(small, _LOSSLESS)
        self._share = min(1.0, max(self._share, len(data) / room))
        self._masks -= 1
        return self._taken(data)

    def _room(self) -> float:
        """Bytes, before they become text, that an image may take of what is left."""
        return 0.74 * self._left / max(self._images + self._share * self._masks, 1)

    def _taken(self, data: bytes) -> str:
        text = data_uri(data, 'webp')
        self._left -= len(text)
        return text

    def _fit(self, picture: np.ndarray, interpolation: int, pixels: float) -> np.ndarray:
        height, width = picture.shape[:2]
        scale = min(math.sqrt(pixels / (height * width)),
                    _LONGEST_SIDE / max(height, width))
        if scale >= 1:
            return picture
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return cv2.resize(picture, size, interpolation=interpolation)


def _webp(picture: np.ndarray, quality: int) -> bytes:
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.webp', picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
