# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Photometric distortion: the same street as another camera shows it, on another day."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.training.tensors.rain import add_noise
from ubcn_ros.training.tensors.transfer import to_device


@dataclass(frozen=True)
class PhotometricDistortion:
    """
    Other colours, light, texture and sharpness of an image.

    :param saturation: factor; 0 makes it grey.
    :param gain: (3,), of the channels.
    :param contrast, brightness: factors, of the difference to the mean and of the mean.
    :param light: (n, n) float32, logarithms of the light's factor on a coarse grid over the
        image; None for the same everywhere.
    :param kernel: (3, 3, 3, 3) float32, a random convolution of which the image gets the share
        ``texture``, at its own mean and contrast (Xu et al., "Robust and Generalizable Visual
        Representation Learning via Random Convolutions", ICLR 2021); None for none.
    :param texture: 0..1.
    :param blur: sigma of a Gaussian in pixels, 0 for none.
    :param noise: sigma on 0..255.
    :param seed: of the noise.
    """

    saturation: float = 1.0
    gain: np.ndarray | None = None
    contrast: float = 1.0
    brightness: float = 1.0
    light: np.ndarray | None = None
    kernel: np.ndarray | None = None
    texture: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> PhotometricDistortion:
        """Draw one: colours in 0.7 of them, light and texture in a half, blur and noise in 0.3."""
        drawn = {}
        if rng.random() < 0.7:
            drawn |= {'saturation': float(rng.uniform(0, 1.8)),
                      'gain': np.exp(rng.normal(0, 0.15, 3)),
                      'contrast': math.exp(rng.normal(0, 0.3)),
                      'brightness': math.exp(rng.normal(0, 0.3))}
        if rng.random() < 0.5:
            side = int(rng.integers(2, 9))
            drawn['light'] = rng.normal(0, 0.4, (side, side)).astype(np.float32)
        if rng.random() < 0.5:
            drawn['kernel'] = rng.normal(0, 1, (3, 3, 3, 3)).astype(np.float32)
            drawn['texture'] = float(rng.uniform(0, 0.7))
        if rng.random() < 0.3:
            drawn['blur'] = float(rng.uniform(0.3, 1.5))
        if rng.random() < 0.3:
            drawn |= {'noise': float(rng.uniform(0, 12)), 'seed': int(rng.integers(1 << 31))}
        return cls(**drawn)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """
        Distort images, all by what suits the first.

        :param images: (N, 3, h, w) float32 on 0..255, of one place, such as dry and in rain.
        :return: the same shape and range.
        """
        grey = images.mean(1, keepdim=True)
        images = grey + self.saturation * (images - grey)
        if self.gain is not None:
            images = images * to_device(self.gain, images.device).view(1, 3, 1, 1)
        middle = images[0].mean()
        images = (images - middle) * self.contrast + middle * self.brightness
        if self.light is not None:
            field = to_device(self.light, images.device)[None, None]
            images = images * F.interpolate(field, images.shape[-2:], mode='bicubic',
                                            align_corners=False).exp()
        if self.kernel is not None:
            images = torch.lerp(images, self._convolved(images), self.texture)
        if self.blur:
            images = _blurred(images, self.blur)
        if self.noise:
            images = add_noise(images, [self.noise] * len(images), [self.seed] * len(images))
        return images.clamp(0, 255)

    def _convolved(self, images: torch.Tensor) -> torch.Tensor:
        """Convolve, and give back the first image's mean and contrast to each channel."""
        found = F.conv2d(F.pad(images, (1, 1, 1, 1), mode='replicate'),
                         to_device(self.kernel, images.device))
        mean, spread = (getattr(images[0], name)((1, 2), keepdim=True) for name in ('mean', 'std'))
        first, width = (getattr(found[0], name)((1, 2), keepdim=True) for name in ('mean', 'std'))
        return (found - first) / width.clamp(min=1e-3) * spread + mean


def _blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    radius = math.ceil(2 * sigma)
    weights = torch.exp(-torch.arange(-radius, radius + 1, device=images.device) ** 2
                        / (2 * sigma ** 2))
    weights = (weights / weights.sum()).expand(3, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode='replicate')
    across = F.conv2d(padded, weights[:, :, None], groups=3)
    return F.conv2d(across, weights[..., None], groups=3)
