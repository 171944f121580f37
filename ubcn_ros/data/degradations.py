# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The degradations of the paper's figure 1: rain, haze, pepper and gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubcn_ros.data.image_checks import check_image, depth_of, far_where_unknown
from ubcn_ros.data.rain import add_rain, estimate_airlight
from ubcn_ros.data.rain_parameters import MAX_RATE_MM_H

UNITS = {'rain': 'mm/hr', 'pepper': '% of the pixels', 'haze': '1/m', 'gaussian': 'sigma of 255'}
"""Units of the levels, by kind."""
KINDS = tuple(UNITS)
"""
Values of ``Degradation.kind``, the paper's four. They are named, too, in
``training/tensors/samples.py``, ``study/paper.py`` and ``study/degradation_claims.py``.
"""
_HIGHEST = {'rain': MAX_RATE_MM_H, 'pepper': 100.0, 'haze': 1.0, 'gaussian': 255.0}


@dataclass(frozen=True)
class Degradation:
    """
    One kind of degradation at one level; called with an image it gives the degraded one.

    :param kind: one of ``KINDS``.
    :param level: 0 for none; of rain its rate, 0..300 mm/hr, of pepper the share of the pixels,
        0..100 %, of haze its extinction, 0..1 per m, of gaussian noise its sigma on 0..255.
    :raises ValueError: an unknown kind, or a level out of range.
    """

    kind: str
    level: float

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is out of range."""
        if self.kind not in KINDS:
            raise ValueError(f'unknown degradation {self.kind!r}: choose one of '
                             f'{", ".join(KINDS)}')
        if not 0 <= self.level <= _HIGHEST[self.kind]:
            raise ValueError(f'the level of {self.kind} is {self.level}, must be '
                             f'0..{_HIGHEST[self.kind]:g} ({UNITS[self.kind]})')

    def __call__(self, image: np.ndarray, seed: int, depth: np.ndarray | None = None
                 ) -> np.ndarray:
        """
        Degrade an image, the same for the same arguments; rain is rendered as for validation.

        :param image: (H, W, 3) uint8 RGB.
        :param seed: of what is drawn; haze is always the same.
        :param depth: (H, W) metres, for rain and haze; None for the prior.
        :return: (H, W, 3) uint8 RGB.
        :raises ValueError: an image or depth of another size or type.
        """
        if self.kind == 'rain':
            return add_rain(image, self.level, seed, depth)
        if self.kind == 'haze':
            return add_haze(image, self.level, depth)
        if self.kind == 'pepper':
            return add_pepper(image, self.level / 100, seed)
        return add_gaussian(image, self.level, seed)


def add_haze(image: np.ndarray, beta: float, depth: np.ndarray | None) -> np.ndarray:
    """
    Render homogeneous haze: I exp(-beta l) + A (1 - exp(-beta l)), l the distance, A estimated.

    :param image: (H, W, 3) uint8 RGB.
    :param beta: extinction, 0/m (the image unchanged) or more; 0.005, 0.01 and 0.03 in the paper
        (Sakaridis et al. 2018).
    :param depth: l, (H, W) metres, far where not finite or not positive; None for the prior.
    :return: (H, W, 3) uint8 RGB.
    :raises ValueError: an image or depth of another size or type.
    """
    depth = depth_of(image, depth)
    if beta == 0:
        return image.copy()
    veil = -np.expm1(-beta * far_where_unknown(depth))
    scene = image.astype(np.float32)
    scene += veil[..., None] * (255 * estimate_airlight(image) - scene)
    return np.clip(scene + 0.5, 0, 255).astype(np.uint8)


def add_pepper(image: np.ndarray, probability: float, seed: int) -> np.ndarray:
    """
    Blacken pixels at random.

    The same seed at a higher probability blackens the same pixels and more.

    :param image: (H, W, 3) uint8 RGB.
    :param probability: of every pixel to be black, 0..1.
    :param seed: of the choice of pixels.
    :return: (H, W, 3) uint8 RGB.
    :raises ValueError: an image of another type.
    """
    check_image(image)
    result = image.copy()
    result[np.random.default_rng(seed).random(image.shape[:2]) < probability] = 0
    return result


def add_gaussian(image: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """
    Add gaussian noise, clipped to 0..255.

    :param image: (H, W, 3) uint8 RGB.
    :param sigma: standard deviation on 0..255, 0 or more.
    :param seed: of the noise.
    :return: (H, W, 3) uint8 RGB.
    :raises ValueError: an image of another type.
    """
    check_image(image)
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image + np.float32(sigma) * noise), 0, 255).astype(np.uint8)
