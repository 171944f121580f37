# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Other colours for samples: color jitter, and those of strong augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ubcn_ros.data.strong_augmentation import Recolouring
from ubcn_ros.training.tensors.transfer import per_image


@dataclass(frozen=True)
class Jitter:
    """
    A curve for every channel: v becomes gain * v ** gamma, v on 0..1.

    :param gain: (3,).
    """

    gain: np.ndarray
    gamma: float

    @classmethod
    def draw(cls, strength: float, rng: np.random.Generator) -> Jitter:
        """Draw a gain, common and per channel, and a gamma, for a strength of 0 (none) to 1."""
        return cls(np.exp(strength * (0.25 * rng.standard_normal()
                                      + 0.08 * rng.standard_normal(3))),
                   float(np.exp(strength * 0.25 * rng.standard_normal())))

    def __call__(self, color: np.ndarray) -> np.ndarray:
        """Change colours, (..., 3) on 0..1."""
        return np.clip(self.gain * color ** self.gamma, 0, 1)

    def table(self) -> np.ndarray:
        """Return what becomes of every uint8 value, (1, 256, 3) uint8, as of ``cv2.LUT``."""
        return (255 * self(np.arange(256)[None, :, None] / 255) + 0.5).astype(np.uint8)


def jittered(images: torch.Tensor, jitters: Sequence[Jitter]) -> torch.Tensor:
    """
    Change every image's colours by its own curves.

    :param images: (N, 3, h, w) float32 on 0..255.
    """
    gain, gamma = (per_image([getattr(j, name) for j in jitters], images.device)
                   for name in ('gain', 'gamma'))
    return ((images / 255) ** gamma * gain * 255).clamp(0, 255)


def recoloured(image: torch.Tensor, drawn: Recolouring) -> torch.Tensor:
    """Recolour an image, (3, h, w) float32 on 0..255, as ``data.strong_augmentation``."""
    image = torch.stack([image[channel] for channel in drawn.channels])
    image = 255 - image if drawn.negative else image
    grey = image.mean(0, keepdim=True)
    middle = grey.mean()
    image = grey + drawn.saturation * (image - grey)
    return ((image - middle) * drawn.contrast + middle * drawn.brightness).clamp(0, 255)
