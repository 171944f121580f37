# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a camera adds to the scene: noise of its sensor, and compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class SensorLook:
    """
    Noise and compression of one image.

    :param shot: variance on 0..255 per unit of radiance: photons come one by one.
    :param read: standard deviation on 0..255 that is there in the dark, too.
    :param quality: of a JPEG, 1 to 100; 0 leaves the image uncompressed.
    """

    shot: float
    read: float
    quality: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> SensorLook:
        """Draw one: half of the images have noise, and half are compressed."""
        strength = float(rng.random() ** 2 * (rng.random() < 0.5))
        return cls(0.6 * strength, 6 * strength * float(rng.random()),
                   int(rng.integers(25, 96)) if rng.random() < 0.5 else 0)


def add_sensor_noise(image: np.ndarray, look: SensorLook, rng: np.random.Generator) -> np.ndarray:
    """
    Add noise to an image.

    :param image: (H, W, 3) float32 RGB on 0..255.
    :param rng: generator that it is drawn from.
    :return: likewise, not clipped.
    """
    if not look.shot and not look.read:
        return image
    sigma = np.sqrt(look.shot * np.clip(image, 0, 255) + look.read ** 2)
    return image + sigma * rng.standard_normal(image.shape, np.float32)


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """
    Compress an image as JPEG, and decode it.

    :param image: (H, W, 3) uint8 RGB.
    :param quality: as of ``SensorLook``.
    """
    if not quality:
        return image
    coded = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
