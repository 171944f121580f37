# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How hard it rains and how far one sees, as numbers, and as the logarithms that are learnt."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

MAX_RATE = 500.0
"""Highest rain rate, mm/hr: higher estimates are cut to it; 0 is the lowest."""
MIN_VISIBILITY, MAX_VISIBILITY = 10.0, 10_000.0
"""Metres: lower and higher estimates are cut to these. A street tells no more of clearer air."""
_OPTICAL_DEPTH = -math.log(0.05)


class RainEstimate(NamedTuple):
    """
    Rain rate and visibility of one image (numbers) or of several (tensors of (N,)).

    The visibility is the meteorological optical range: the distance after which 5 % of a beam's
    light is left, V = -ln 0.05 / extinction coefficient, about 3 / extinction (WMO-No. 8, Guide to
    Instruments and Methods of Observation, volume I, chapter 9).

    :param rate: mm/hr, 0 to ``MAX_RATE``.
    :param visibility: metres, ``MIN_VISIBILITY`` to ``MAX_VISIBILITY``.
    """

    rate: float | torch.Tensor
    visibility: float | torch.Tensor


def rain_logs(rate: torch.Tensor, extinction: torch.Tensor) -> torch.Tensor:
    """
    Turn rain into what a network estimates: log(1 + rate) and log(extinction coefficient).

    :param rate: (N,) mm/hr.
    :param extinction: (N,) in 1/m; what is farther to see than ``MAX_VISIBILITY``, 0 as well,
        counts as that far, nearer than ``MIN_VISIBILITY`` likewise. NaN stays NaN.
    :return: (N, 2).
    """
    bounded = extinction.clamp(_OPTICAL_DEPTH / MAX_VISIBILITY, _OPTICAL_DEPTH / MIN_VISIBILITY)
    return torch.stack((rate.clamp(0, MAX_RATE).log1p(), bounded.log()), 1)


def rain_of(logs: torch.Tensor) -> RainEstimate:
    """
    Turn what a network estimates into rain, the inverse of ``rain_logs``.

    :param logs: (N, 2).
    :return: of tensors (N,), fp32, cut to their ranges.
    """
    rate, extinction = logs.float().unbind(1)
    return RainEstimate(rate.expm1().clamp(0, MAX_RATE), (_OPTICAL_DEPTH / extinction.exp()).clamp(
        MIN_VISIBILITY, MAX_VISIBILITY))
