# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The other degradations of the paper's figure 1: haze, pepper and gaussian noise."""

from __future__ import annotations

import numpy as np

from ubcn_ros.data.depth_prior import depth_prior
from ubcn_ros.data.rain import estimate_airlight

__all__ = ['add_gaussian', 'add_haze', 'add_pepper']


def add_haze(image: np.ndarray, beta: float, depth: np.ndarray | None = None,
             airlight: tuple[float, float, float] | None = None) -> np.ndarray:
    """
    Return the image in homogeneous haze, (H, W, 3) uint8 RGB.

    I exp(-beta l) + A (1 - exp(-beta l)) with beta >= 0 in 1/m (0.005, 0.01 and 0.03 in the
    paper; Sakaridis et al. 2018) and l the distance in metres: depth (H, W), where not finite or
    not positive is far, or the prior. airlight A is RGB 0..1, estimated from the image when None.
    beta 0 returns the image unchanged. Raises ValueError for a negative beta or another size.
    """
    _check(image)
    if not 0 <= beta < np.inf:
        raise ValueError(f'beta is {beta}, must be a finite extinction of 0/m or more')
    height, width = image.shape[:2]
    if depth is None:
        depth = depth_prior(height, width)
    elif depth.shape != (height, width):
        raise ValueError(f'depth is {depth.shape}, expected {(height, width)}')
    if beta == 0:
        return image.copy()
    known = np.isfinite(depth) & (depth > 0)
    veil = -np.expm1(-beta * np.where(known, depth, 1e5).astype(np.float32))
    light = estimate_airlight(image) if airlight is None else np.asarray(airlight, np.float32)
    scene = image.astype(np.float32)
    scene += veil[..., None] * (255 * light - scene)
    return np.clip(scene + 0.5, 0, 255).astype(np.uint8)


def add_pepper(image: np.ndarray, probability: float, seed: int) -> np.ndarray:
    """
    Return the image with every pixel black with a probability 0..1, (H, W, 3) uint8 RGB.

    The same seed at a higher probability blackens the same pixels and more.
    """
    _check(image)
    if not 0 <= probability <= 1:
        raise ValueError(f'probability is {probability}, must be 0..1')
    result = image.copy()
    result[np.random.default_rng(seed).random(image.shape[:2]) < probability] = 0
    return result


def add_gaussian(image: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Return the image with noise of sigma on 0..255, clipped; (H, W, 3) uint8 RGB."""
    _check(image)
    if not 0 <= sigma < np.inf:
        raise ValueError(f'sigma is {sigma}, must be finite and 0 or more')
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image + np.float32(sigma) * noise), 0, 255).astype(np.uint8)


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'image is {image.shape} {image.dtype}, expected (H, W, 3) uint8 RGB')
