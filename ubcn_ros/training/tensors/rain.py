# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered rain on tensors: the veil and the streaks' light, as ``data.rain`` has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.depth_prior import CAMERA_HEIGHT_M, CAP_M, CORRIDOR_M
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.training.tensors.transfer import per_image, to_device

_SURROUNDINGS = (6, 8)  # places of a sample at which a drop's surroundings are told apart


def rendered_rain(images: torch.Tensor, distance: torch.Tensor, thickness: torch.Tensor,
                  parameters: Sequence[RainParameters], airlight: np.ndarray) -> torch.Tensor:
    """
    Put a veil and streaks before images; noise is not added.

    :param images: (N, 3, h, w) float32 on 0..255.
    :param distance: (N, 1, h, w) metres.
    :param thickness: optical thickness of the streaks, (N, 1, h, w), 0 or more.
    :param parameters: N; their airlight is not looked at.
    :param airlight: (N, 3) RGB on 0..1.
    :return: (N, 3, h, w) float32, not clipped.
    """
    beta, gain, ambient, brightness = (
        per_image([getattr(p, name) for p in parameters], images.device)
        for name in ('extinction', 'airlight_gain', 'ambient', 'brightness_gain'))
    light = 255 * per_image(airlight, images.device)
    haze = (light * gain).clamp(max=255)
    scene = torch.lerp(images, haze, -torch.expm1(-beta * distance))
    drops = torch.lerp(_surroundings(scene), light, ambient) * brightness
    return torch.lerp(scene, drops, -torch.expm1(-thickness))


def _surroundings(scene: torch.Tensor) -> torch.Tensor:
    """Mean radiance around every pixel: a drop sees nearly everything."""
    return F.interpolate(F.adaptive_avg_pool2d(scene, _SURROUNDINGS), scene.shape[-2:],
                         mode='bilinear', align_corners=False)


def plain_distance(points: torch.Tensor, sizes: torch.Tensor,
                   parameters: Sequence[RainParameters]) -> torch.Tensor:
    """
    Work out the distances of ``depth_prior`` without labels, and without its blur.

    :param points: (N, h, w, 2), pixels (x, y) of the image.
    :param sizes: (N, 1, 1, 2), width and height of the image.
    :param parameters: N: focal length and horizon.
    :return: (N, 1, h, w) metres.
    """
    def each(values: Sequence[float]) -> torch.Tensor:
        return to_device(values, points.device).view(-1, 1, 1)
    width, height = sizes.unbind(-1)
    focal = each([p.focal for p in parameters]) * width
    x, y = points.unbind(-1)
    ground = (y - each([p.horizon for p in parameters]) * height).clamp(min=0)
    walls = (x - width / 2).abs()
    inverse = ((ground / (focal * CAMERA_HEIGHT_M)) ** 3 + (walls / (focal * CORRIDOR_M)) ** 3
               + CAP_M ** -3) ** (1 / 3)
    return (1 / inverse)[:, None]


def add_noise(images: torch.Tensor, sigmas: Sequence[float], seeds: Sequence[int]
              ) -> torch.Tensor:
    """
    Add camera noise, each image's own.

    :param images: (N, 3, h, w) float32 on 0..255, changed in place.
    :param sigmas: standard deviations, 0 for none.
    :param seeds: of the noise; on one kind of device it follows from them.
    """
    generator = torch.Generator(images.device)
    for image, sigma, seed in zip(images, sigmas, seeds, strict=True):
        if sigma:
            generator.manual_seed(seed)
            image += sigma * torch.randn(image.shape, generator=generator, device=image.device)
    return images
