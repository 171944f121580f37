# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""IoU of predicted masks, for validation in training and for evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from ubcn_ros.data.scenes import Group
from ubcn_ros.labels import UNLABELED, LabelSet
from ubcn_ros.training.losses import group_members


class LabelScore:
    """
    IoU per class and its mean, over all pixels added.

    A pixel whose truth is a group of classes, not which of them, is a false positive of any class
    outside the group, and counts for none inside.

    :param groups: of the truth's ids, as of ``SceneList``.
    """

    def __init__(self, label_set: LabelSet, device: torch.device, groups: Sequence[Group] = ()
                 ) -> None:
        self._classes = label_set.classes
        count = len(self._classes)
        members = group_members(groups, count)
        self._outside = None if members is None else ~members.to(device)
        # in training process 0 is alone here: a metric that waited for the others would hang.
        # The last class is any other one: of groups, which nothing predicts
        self._metric = MulticlassJaccardIndex(count + 1, average='none',
                                              ignore_index=UNLABELED, validate_args=False,
                                              sync_on_compute=False).to(device)

    def add(self, labels: torch.Tensor, truth: torch.Tensor) -> None:
        """Add predicted and true ids, both (H, W) integer; those of the truth may be groups'."""
        count = len(self._classes)
        of_group = (truth >= count) & (truth != UNLABELED)
        if of_group.any():
            truth = truth.clone()
            outside = self._outside[truth[of_group].long() - count, labels[of_group].long()]
            truth[of_group] = torch.where(outside, count, UNLABELED).to(truth.dtype)
        self._metric.update(labels[None], truth[None])

    def result(self) -> dict[str, Any]:
        """
        Return 'miou' in %, and 'iou' {class: %}.

        None for a class that the ground truth lacks; mIoU is NaN where it lacks them all.
        """
        present = self._metric.confmat.sum(1) > 0
        iou = [100 * float(value) if there else None for value, there, _ in
               zip(self._metric.compute(), present, self._classes, strict=False)]
        known = [value for value in iou if value is not None]
        return {'miou': float(np.mean(known)) if known else math.nan,
                'iou': dict(zip(self._classes, iou, strict=True))}
