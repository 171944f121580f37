# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rain of every figure that is quoted: fixed, so that figures compare."""

from __future__ import annotations

import numpy as np

from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.painted_rain import paint_rain
from ubcn_ros.data.rain import add_rain
from ubcn_ros.data.rain_parameters import MAX_RATE_MM_H
from ubcn_ros.data.scenes import SceneList

RENDERED = 'rendered'
PAINTED = 'painted'
RAINS = (RENDERED, PAINTED)
"""Kinds: drops and veil by the rate's physics; or strong slanted streaks without a veil."""

_PAINTED_MM_H = 500.0
# of severity 1: on CamVid's val painted streaks then leave 29.4, 22.0 and 17.0 dB at 50, 150 and
# 250 mm/hr, and rendered rain 27.8, 21.8 and 19.1


def rainy_view(image: np.ndarray, labels: np.ndarray, scenes: SceneList, rate_mm_h: float,
               seed: int, depth: np.ndarray | None = None, rain: str = RENDERED) -> np.ndarray:
    """
    Let validation rain fall; (H, W, 3) uint8 RGB.

    :param image: (H, W, 3) uint8 RGB.
    :param labels: (H, W) uint8 ids of the scenes' classes and groups.
    :param rate_mm_h: 0..300; 0 gives the image unchanged. Painted rain, which has no rate, takes
        about as much PSNR as rendered rain of this rate.
    :param seed: the frame's index in the scene list.
    :param depth: (H, W) metres where the data set measured it; where not, it is tied to the
        classes.
    :param rain: one of RAINS.
    :raises ValueError: an unknown kind of rain, a rate out of range, or as ``add_rain``.
    """
    if not 0 <= rate_mm_h <= MAX_RATE_MM_H:
        raise ValueError(f'the rain rate is {rate_mm_h} mm/hr: expected 0..{MAX_RATE_MM_H:g}')
    if rain == RENDERED:
        return add_rain(image, rate_mm_h, seed, complete_depth(depth, labels, scenes.class_names))
    if rain != PAINTED:
        raise ValueError(f'unknown rain {rain!r}: expected {", ".join(RAINS)}')
    if not rate_mm_h:
        return image.copy()
    return paint_rain(image, np.random.default_rng(seed), rate_mm_h / _PAINTED_MM_H,
                      haze_probability=0, noise_probability=0)
