# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check the images and distances that degradations are given."""

from __future__ import annotations

import numpy as np

from ubcn_ros.data.depth_prior import depth_prior

FAR_M = 1e4
"""Distance that is taken where none is known, metres: hidden by the veil of moderate rain."""


def check_image(image: np.ndarray) -> None:
    """Raise ValueError for what is not (H, W, 3) uint8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'image is {image.shape} {image.dtype}, expected (H, W, 3) uint8 RGB')


def check_depth(depth: np.ndarray, height: int, width: int) -> None:
    """Raise ValueError for what is not (height, width)."""
    if depth.shape != (height, width):
        raise ValueError(f'depth is {depth.shape}, expected {(height, width)}')


def far_where_unknown(depth: np.ndarray) -> np.ndarray:
    """Return distances, float32 metres, FAR_M where they are not finite or not positive."""
    known = np.isfinite(depth) & (depth > 0)
    return np.where(known, depth, FAR_M).astype(np.float32)


def depth_of(image: np.ndarray, depth: np.ndarray | None) -> np.ndarray:
    """
    Return the depth of an image, (H, W) metres: the one that is given, else the prior.

    :raises ValueError: an image of another type, or a depth of another size.
    """
    check_image(image)
    if depth is None:
        return depth_prior(*image.shape[:2])
    check_depth(depth, *image.shape[:2])
    return depth
