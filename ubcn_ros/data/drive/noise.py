# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tileable noise pictures that everything in a procedural street is textured with."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_SIZE = 512  # of a tile


@lru_cache(maxsize=16)
def noise_tile(slope: float, seed: int) -> np.ndarray:
    """
    Return a (512, 512) float32 tile of mean 0 and deviation 1 whose spectrum is 1/f^slope.

    It repeats without a seam. Treat it as read-only: the tile is shared.
    """
    rng = np.random.default_rng([seed, 7])
    f = np.fft.fftfreq(_SIZE) * _SIZE
    radius = np.hypot(f[:, None], np.arange(_SIZE // 2 + 1)[None])
    radius[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((_SIZE, _SIZE))) / radius**slope
    spectrum[0, 0] = 0
    tile = np.fft.irfft2(spectrum, (_SIZE, _SIZE))
    return (tile / tile.std()).astype(np.float32)


def noise_patch(rng: np.random.Generator, height: int, width: int, slope: float,
                stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Return (height, width) float32 noise cut from the tile at random, stretched (y, x)."""
    tile = noise_tile(slope, 0)
    h = min(max(int(height / stretch[0]), 2), _SIZE)
    w = min(max(int(width / stretch[1]), 2), _SIZE)
    rows = (rng.integers(_SIZE) + np.arange(h)) % _SIZE
    patch = np.roll(tile.take(rows, 0), -int(rng.integers(_SIZE)), 1)[:, :w]
    if (h, w) != (height, width):
        patch = cv2.resize(patch, (width, height), interpolation=cv2.INTER_LINEAR)
    return patch
