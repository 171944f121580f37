# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of images over a set of them, as `measure` defines them."""

from __future__ import annotations

import numpy as np
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)


def rounded(image: torch.Tensor) -> torch.Tensor:
    """Round an image of 0..1 as the engine does, to whole numbers 0..255, kept as float."""
    return image.float().clamp(0, 1).mul(255).round()


class ImageScore:
    """PSNR and SSIM, the mean over the images added."""

    def __init__(self) -> None:
        self._psnr: list[float] = []
        self._ssim: list[float] = []

    def add(self, image: torch.Tensor, clean: torch.Tensor) -> None:
        """Add an image and the clean one, (1, 3, H, W) float 0..1."""
        image, clean = rounded(image), rounded(clean)
        self._psnr.append(float(peak_signal_noise_ratio(image, clean, data_range=255.0)))
        self._ssim.append(float(structural_similarity_index_measure(image, clean,
                                                                    data_range=255.0)))

    def result(self) -> dict[str, float]:
        """Return 'psnr' in dB, infinite if any image equals the clean one, and 'ssim'."""
        return {'psnr': float(np.mean(self._psnr)), 'ssim': float(np.mean(self._ssim))}
