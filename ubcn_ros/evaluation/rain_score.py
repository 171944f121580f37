# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How well a model tells the rain rate and the visibility of rendered rain.

Errors (%) are relative to the truth, their median over the images; of a dry frame, whose rate is
0, the share (%) of estimates below 2 mm/hr is told instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ubcn_ros.network.rain_estimate import rain_logs, rain_of

DRY = 2.0
"""mm/hr: below it an estimate counts as dry."""


class RainScore:
    """Estimates against the truth, over all images added; of one rain rate."""

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
