# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images for tests, (H, W, 3) uint8, others for every seed, and how alike two are."""

import cv2
import numpy as np


def noise(seed=0, height=36, width=44):
    """Return independent pixels: what compresses worst."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def clouds(seed=0, height=48, width=64, low=0, high=256):
    """Return smooth colours from low to below high."""
    coarse = np.random.default_rng(seed).integers(low, high, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def cloudy_images(height, width, count):
    """Return clouds in the place of `benchmark.engine.rainy_images`: a street takes a second."""
    return [clouds(n, height, width, 40, 200) for n in range(count)]


def psnr(image, other):
    """Return the PSNR of two images of 0..255, dB."""
    return 10 * np.log10(255 ** 2 / np.mean((image.astype(float) - other) ** 2))
