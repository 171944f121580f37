# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Noise of a sensor and compression as JPEG, on tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.training.tensors.transfer import to_device

# Tables K.1 and K.2 of ITU-T T.81, for brightness and colour
_TABLES = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
    [17, 18, 24, 47, 99, 99, 99, 99], [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99], [47, 66, 99, 99, 99, 99, 99, 99],
    *[[99] * 8] * 4]).reshape(2, 8, 8)
# RGB to Y, Cb, Cr as in JFIF
_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5],
                      [0.5, -0.418688, -0.081312]])
_TO_RGB = np.linalg.inv(_TO_YCBCR)


@dataclass(frozen=True)
class SensorParameters:
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
    def draw(cls, rng: np.random.Generator) -> SensorParameters:
        """Draw one: half of the images have noise, and half are compressed."""
        strength = float(rng.random() ** 2 * (rng.random() < 0.5))
        return cls(0.6 * strength, 6 * strength * float(rng.random()),
                   int(rng.integers(25, 96)) if rng.random() < 0.5 else 0)


def add_sensor_noise(images: torch.Tensor, sensors: Sequence[SensorParameters],
                     seeds: Sequence[int]) -> torch.Tensor:
    """
    Add noise, each image's own.

    :param images: (N, 3, h, w) float32 on 0..255, changed in place.
    :param seeds: of the noise; on one kind of device it follows from them.
    """
    generator = torch.Generator(images.device)
    for image, sensor, seed in zip(images, sensors, seeds, strict=True):
        if sensor.shot or sensor.read:
            generator.manual_seed(seed)
            sigma = (sensor.shot * image.clamp(0, 255) + sensor.read ** 2).sqrt_()
            image += sigma * torch.randn(image.shape, generator=generator, device=image.device)
    return images


def compressed(images: torch.Tensor, qualities: Sequence[int]) -> torch.Tensor:
    """
    Compress and decode images as JPEG does, colours at half the size (4:2:0).

    :param images: (N, 3, h, w) float32 on 0..255.
    :param qualities: N, 1 to 100.
    :return: likewise, whole numbers.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images.round(), (0, -width % 16, 0, -height % 16), mode='replicate')
    to_ycbcr, to_rgb = to_device([_TO_YCBCR, _TO_RGB], images.device)
    shifted = torch.einsum('ij,njhw->nihw', to_ycbcr, padded - 128).round()
    tables = to_device([quantization(quality) for quality in qualities], images.device)
    brightness = _coded(shifted[:, :1], tables[:, :1])
    colour = _coded(F.avg_pool2d(shifted[:, 1:], 2).round(), tables[:, 1:])
    colour = F.interpolate(colour, scale_factor=2, mode='bilinear')
    decoded = torch.einsum('ij,njhw->nihw', to_rgb, torch.cat((brightness, colour), 1)) + 128
    return decoded[..., :height, :width].round().clamp(0, 255)


@lru_cache(maxsize=100)
def quantization(quality: int) -> np.ndarray:
    """Return the steps of brightness and colour at a quality, (2, 8, 8), as libjpeg has them."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((_TABLES * scale + 50) // 100).clip(1, 255)


def _coded(planes: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """
    Round the cosine transform of 8x8 pixels to steps, and transform it back.

    :param planes: (N, C, h, w), h and w multiples of 8.
    :param table: (N, 1, 8, 8).
    """
    n, channels, height, width = planes.shape
    blocks = planes.reshape(n, channels, height // 8, 8, width // 8, 8)
    frequency = torch.arange(8, device=planes.device, dtype=planes.dtype)
    cosine = torch.cos((2 * frequency + 1) * frequency[:, None] * torch.pi / 16) / 2
    cosine[0] /= 2 ** 0.5
    steps = table.view(n, 1, 1, 8, 1, 8)
    coefficients = torch.einsum('ui,ncyixj,vj->ncyuxv', cosine, blocks, cosine)
    coefficients = (coefficients / steps).round() * steps
    return torch.einsum('ui,ncyuxv,vj->ncyixj', cosine, coefficients, cosine).round().reshape(
        planes.shape)
