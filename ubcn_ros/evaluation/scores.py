# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures over a set of images, as `measure` defines them; those of labels are `LabelScore`'s."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ubcn_ros.evaluation.metrics import common_means
from ubcn_ros.network.rain_estimate import rain_logs, rain_of
from ubcn_ros.runtime.confidence import least_step

BINS = 15
THRESHOLDS = (*(step / 20 for step in range(20)), 0.99)
"""Confidences from which on pixels count for coverage and accuracy."""
DRY = 2.0
"""mm/hr: below it an estimate counts as dry."""


def rounded(image: torch.Tensor) -> torch.Tensor:
    """Round an image of 0..1 as the engine does, to whole numbers 0..255, kept as float."""
    return image.float().clamp(0, 1).mul(255).round()


class ImageScore:
    """PSNR and SSIM, the mean over the images added; ``psnr`` are those of each image, dB."""

    def __init__(self) -> None:
        self.psnr: list[float] = []
        self._ssim: list[float] = []

    def add(self, image: torch.Tensor, clean: torch.Tensor) -> None:
        """Add an image and the clean one, (1, 3, H, W) float 0..1."""
        image, clean = rounded(image), rounded(clean)
        self.psnr.append(float(peak_signal_noise_ratio(image, clean, data_range=255.0)))
        self._ssim.append(float(structural_similarity_index_measure(image, clean,
                                                                    data_range=255.0)))

    def result(self) -> dict[str, float]:
        """
        Return 'psnr' in dB, 'ssim', and 'equal', how many images equal the clean one.

        The PSNR is over the others, and infinite where there are none.
        """
        means, _ = common_means([{'psnr': psnr} for psnr in self.psnr])
        return {**means, 'ssim': float(np.mean(self._ssim)), 'equal': self.psnr.count(math.inf)}


class CalibrationScore:
    """
    Confidence against accuracy, over all pixels added.

    The expected calibration error (%) is the difference between the mean confidence and the share
    of right labels, the mean over 15 bins of confidence weighted by their pixels: that of
    torchmetrics, which keeps every pixel, gigabytes a figure; here sums are kept. Coverage (%) is
    the share of the pixels at or above a confidence, which the engine compares in steps of 1/255,
    accuracy (%) the share of right labels among them.
    """

    def __init__(self, device: torch.device) -> None:
        # pixels, right ones, and the sum of their confidence; pixels and right ones by step
        self._sums = torch.zeros((3, BINS), dtype=torch.float64, device=device)
        self._steps = torch.zeros((2, 256), dtype=torch.float64, device=device)

    def add(self, confidence: torch.Tensor, right: torch.Tensor) -> None:
        """Add labelled pixels: their confidence, (N,) 0..1, and which labels are right, bool."""
        bins = confidence.mul(BINS).long().clamp_(max=BINS - 1)
        values = torch.stack((torch.ones_like(confidence), right.to(confidence.dtype),
                              confidence)).double()
        self._sums.scatter_add_(1, bins.expand(3, -1), values)
        steps = confidence.mul(255).round().long()
        self._steps.scatter_add_(1, steps.expand(2, -1), values[:2])

    def result(self) -> dict[str, Any]:
        """
        Return 'ece' and 'accuracy' in %, and 'coverage', one entry per threshold.

        Each is {'min_confidence', 'coverage', 'accuracy'}; without a pixel there are none, and
        the others are NaN.
        """
        sums, steps = self._sums.cpu(), self._steps.cpu()
        total = float(sums[0].sum())
        if not total:
            return {'ece': math.nan, 'accuracy': math.nan, 'coverage': []}
        _, right, confidence = sums
        kept = [(least, steps[:, least_step(least):].sum(1)) for least in THRESHOLDS]
        return {'ece': 100 * float((right - confidence).abs().sum()) / total,
                'accuracy': 100 * float(right.sum()) / total,
                'coverage': [{'min_confidence': least, 'coverage': 100 * float(count) / total,
                              'accuracy': 100 * float(right) / float(count)}
                             for least, (count, right) in kept if count]}


class RainScore:
    """
    Estimated rain rate and visibility against the rendered, over all images of one rate.

    Errors (%) are relative to the truth, their median over the images; of a dry frame, whose rate
    is 0, the share (%) of estimates below 2 mm/hr is given instead.
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[float, float, float, float]] = []

    def add(self, logs: torch.Tensor, rate: float, extinction: float) -> None:
        """
        Add an image.

        :param logs: (1, 2), what the network estimates, as of ``Step.rain``.
        :param rate: true rate, mm/hr.
        :param extinction: of the rendered veil, 1/m.
        """
        found = rain_of(logs)
        truth = rain_of(rain_logs(torch.tensor([rate]), torch.tensor([extinction])))
        self._pairs.append(tuple(float(value) for value in (
            found.rate, truth.rate, found.visibility, truth.visibility)))

    def result(self) -> dict[str, Any]:
        """
        Return {'rain': medians and errors}; {} without an image.

        'rate' (mm/hr), its 10th and 90th percentile 'rate_p10' and 'rate_p90', 'rate_error' (None
        where dry), 'dry' the share below 2 mm/hr, 'visibility', 'visibility_truth' (m) and
        'visibility_error'.
        """
        if not self._pairs:
            return {}
        rate, true_rate, visibility, true_visibility = np.array(self._pairs).T
        p10, median, p90 = (float(value) for value in np.percentile(rate, (10, 50, 90)))
        return {'rain': {
            'rate': median, 'rate_p10': p10, 'rate_p90': p90,
            'rate_error': _median_error(rate, true_rate) if true_rate.all() else None,
            'dry': 100 * float((rate < DRY).mean()),
            'visibility': float(np.median(visibility)),
            'visibility_truth': float(np.median(true_visibility)),
            'visibility_error': _median_error(visibility, true_visibility)}}


def _median_error(found: np.ndarray, truth: np.ndarray) -> float:
    return 100 * float(np.median(np.abs(found - truth) / truth))
