# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Haze and pepper on tensors, as ``data.degradations`` has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ubcn_ros.training.tensors.transfer import to_device


def hazy(images: torch.Tensor, distance: torch.Tensor, beta: float, airlight: np.ndarray
         ) -> torch.Tensor:
    """
    Put homogeneous haze before images.

    :param images: (N, 3, h, w) float32 on 0..255.
    :param distance: (N, 1, h, w) metres.
    :param beta: extinction, 1/m.
    :param airlight: (N, 3) RGB on 0..1.
    :return: likewise.
    """
    light = to_device(255 * airlight, images.device)[..., None, None]
    return torch.lerp(images, light, -torch.expm1(-beta * distance))


def peppered(images: torch.Tensor, probability: float, seeds: Sequence[int]) -> torch.Tensor:
    """
    Blacken pixels at random, each image's own.

    :param images: (N, 3, h, w) float32, changed in place.
    :param probability: of every pixel to be black, 0..1.
    :param seeds: of what is drawn; on one kind of device it follows from them.
    """
    generator = torch.Generator(images.device)
    for image, seed in zip(images, seeds, strict=True):
        generator.manual_seed(seed)
        drawn = torch.rand(image.shape[1:], generator=generator, device=image.device)
        image *= drawn >= probability
    return images
