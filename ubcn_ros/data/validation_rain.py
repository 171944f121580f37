# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rain of every figure that is quoted: fixed, so that figures compare."""

from __future__ import annotations

import numpy as np

from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.rain import add_rain
from ubcn_ros.data.scenes import SceneList


def rainy_view(image: np.ndarray, labels: np.ndarray, scenes: SceneList, rate_mm_h: float,
               seed: int, depth: np.ndarray | None = None) -> np.ndarray:
    """
    Render validation rain: physical parameters; (H, W, 3) uint8 RGB.

    :param image: (H, W, 3) uint8 RGB.
    :param labels: (H, W) uint8 ids of the scenes' classes and groups.
    :param rate_mm_h: 0..300; 0 gives the image unchanged.
    :param seed: the frame's index in the scene list.
    :param depth: (H, W) metres where the data set measured it; where not, it is tied to the
        classes.
    """
    return add_rain(image, rate_mm_h, seed, complete_depth(depth, labels, scenes.class_names))
