# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of merit over a set of images, as `measure` defines them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ubcn_ros.labels import UNLABELED, LabelSet


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


class LabelScore:
    """IoU per class and its mean, over all pixels added."""

    def __init__(self, label_set: LabelSet, device: torch.device) -> None:
        self._classes = label_set.classes
        self._metric = MulticlassJaccardIndex(label_set.num_classes, average='none',
                                              ignore_index=UNLABELED,
                                              validate_args=False).to(device)

    def add(self, labels: torch.Tensor, truth: torch.Tensor) -> None:
        """Add predicted and true ids, both (H, W) integer."""
        self._metric.update(labels[None], truth[None])

    def result(self) -> dict[str, Any]:
        """
        Return 'miou' in %, and 'iou' {class: %}.

        None for a class that the ground truth lacks; mIoU is NaN where it lacks them all.
        """
        present = self._metric.confmat.sum(1) > 0
        iou = [100 * float(value) if there else None
               for value, there in zip(self._metric.compute().flatten(), present, strict=True)]
        known = [value for value in iou if value is not None]
        return {'miou': float(np.mean(known)) if known else math.nan,
                'iou': dict(zip(self._classes, iou, strict=True))}
