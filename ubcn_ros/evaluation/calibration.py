# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well calibrated a confidence is.

The expected calibration error (%) is the difference between the mean confidence and the share of
right labels, the mean over 15 bins of confidence weighted by their pixels: that of torchmetrics,
which keeps every pixel, gigabytes a figure; here sums are kept. Coverage (%) is the share of the
pixels at or above a confidence, accuracy (%) the share of right labels among them.
"""

from __future__ import annotations

import math
from typing import Any

import torch

BINS = 15
THRESHOLDS = (*(step / 20 for step in range(20)), 0.99)
"""Least confidences at which coverage and accuracy are told."""
_FINE = 300  # bins that are summed in: the thresholds and the edges of the 15 bins lie between


class CalibrationScore:
    """Confidence against accuracy, over all pixels added."""

    def __init__(self, device: torch.device) -> None:
        # pixels, right ones, and the sum of their confidence
        self._sums = torch.zeros((3, _FINE), dtype=torch.float64, device=device)

    def add(self, confidence: torch.Tensor, right: torch.Tensor) -> None:
        """Add labelled pixels: their confidence, (N,) 0..1, and which labels are right, bool."""
        bins = confidence.mul(_FINE).long().clamp_(max=_FINE - 1)
        values = torch.stack((torch.ones_like(confidence), right.to(confidence.dtype),
                              confidence)).double()
        self._sums.scatter_add_(1, bins.expand(3, -1), values)

    def result(self) -> dict[str, Any]:
        """
        Return 'ece' and 'accuracy' in %, and 'coverage', one entry per threshold.

        Each is {'min_confidence', 'coverage', 'accuracy'}; without a pixel there are none, and
        the others are NaN.
        """
        sums = self._sums.cpu()
        total = float(sums[0].sum())
        if not total:
            return {'ece': math.nan, 'accuracy': math.nan, 'coverage': []}
        _, right, confidence = sums.view(3, BINS, -1).sum(2)
        kept = [(least, sums[:, round(least * _FINE):].sum(1)) for least in THRESHOLDS]
        return {'ece': 100 * float((right - confidence).abs().sum()) / total,
                'accuracy': 100 * float(right.sum()) / total,
                'coverage': [{'min_confidence': least, 'coverage': 100 * float(count) / total,
                              'accuracy': 100 * float(right) / float(count)}
                             for least, (count, right, _) in kept if count]}
