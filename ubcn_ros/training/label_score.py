# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The figure of masks, for validation in training as for evaluation: IoU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from ubcn_ros.labels import UNLABELED, LabelSet


class LabelScore:
    """IoU per class and its mean, over all pixels added."""

    def __init__(self, label_set: LabelSet, device: torch.device) -> None:
        self._classes = label_set.classes
        # in training process 0 is alone here: a metric that waited for the others would hang
        self._metric = MulticlassJaccardIndex(label_set.num_classes, average='none',
                                              ignore_index=UNLABELED, validate_args=False,
                                              sync_on_compute=False).to(device)

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
