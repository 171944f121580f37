# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Estimate rain rate and visibility from the streaks that IDM removes.

The veil would show them, too, but only on known streets: how bright a picture is, and how rich in
contrast, depends on the street as much as on the air. Streaks look alike everywhere
(figures in config/train/history.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import init_zero, resample, resize, without_autocast
from ubcn_ros.network.veil import GRID

MAX_RATE = 500.0
"""Highest rain rate, mm/hr: higher estimates are cut to it; 0 is the lowest."""
MIN_VISIBILITY, MAX_VISIBILITY = 10.0, 10_000.0
"""Metres: lower and higher estimates are cut to these. A street shows no more of clearer air."""
_OPTICAL_DEPTH = -math.log(0.05)
_THRESHOLDS = (0.0, 0.008, 0.02, 0.04, 0.08, 0.16)  # of a streak's opacity
_SCALES = (1, 2, 4)
_BLOCK = 16  # what is coarser than blocks of that many pixels is what the veil left
_BANDS = 3
_DARKEST_SKY, _LEAST_CONTRAST = 0.2, 0.25
_LEAST = 2e-5  # no streaks at all are as few as this
_START = (3.0, -5.0)  # rain of 19 mm/hr and a visibility of 440 m: about the middle of both


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


class RainHead(nn.Module):
    """
    Tell rain rate and extinction from the streaks that IDM takes away.

    They are seen on a grid of one size, as a camera of that size would see them. The light of a
    streak is taken as a share of what the sky is brighter than the place behind it: by day and at
    dusk that is its opacity. Summed up are the opacities above thresholds at three scales, their
    changes along rows and columns, and the sums of the upper, middle and lower third of the
    frame; two layers turn these into ``rain_logs``. It is small, and stays in fp32 whatever the
    network is in.
    """

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        sums = len(_THRESHOLDS) * len(_SCALES) + 2 + _BANDS
        # the sums differ by far less than they are
        self.layers = nn.Sequential(nn.BatchNorm1d(sums), nn.Linear(sums, features),
                                    nn.LeakyReLU(0.1), nn.Linear(features, 2))
        self.register_buffer('thresholds', torch.tensor(_THRESHOLDS).view(1, -1, 1, 1),
                             persistent=False)
        init_zero(self.layers[-1])
        with torch.no_grad():
            self.layers[-1].bias.copy_(torch.tensor(_START))

    def _apply(self, fn: Callable, recurse: bool = True) -> RainHead:
        return super()._apply(
            lambda x: fn(x).float() if x.is_floating_point() else fn(x), recurse)

    def forward(self, lifted: torch.Tensor, derained: torch.Tensor) -> torch.Tensor:
        """
        Tell the rain.

        :param lifted: what IDM saw, (N, 3, H, W) RGB about 0..1.
        :param derained: what it made of that.
        :return: (N, 2), as of ``rain_logs``.
        """
        scene, seen = (resample(x.float(), GRID).mean(1, keepdim=True) for x in (derained, lifted))
        # in bf16, rates above 54 mm/hr would come in steps of 3 %
        with without_autocast(scene):
            return self.layers(self.sums(scene, seen - scene))

    def sums(self, scene: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
        """
        Sum up the streaks.

        :param scene, light: (N, 1, *GRID), brightness of B1, 0..1, and what IDM took away.
        :return: (N, sums), logarithms.
        """
        light = light - resize(F.avg_pool2d(light, _BLOCK), light.shape[-2:])
        sky = F.avg_pool2d(scene, _BLOCK).amax((2, 3), keepdim=True).clamp(min=_DARKEST_SKY)
        opacity = light / (sky - scene).clamp(min=_LEAST_CONTRAST)
        scales = [F.avg_pool2d(opacity, scale) if scale > 1 else opacity for scale in _SCALES]
        found = [F.relu(scale - self.thresholds).mean((2, 3)) for scale in scales]
        found += [(opacity[..., 1:] - opacity[..., :-1]).abs().mean((2, 3)),
                  (opacity[..., 1:, :] - opacity[..., :-1, :]).abs().mean((2, 3))]
        found += [F.relu(band - _THRESHOLDS[2]).mean((2, 3)) for band in opacity.chunk(_BANDS, 2)]
        return (torch.cat(found, 1) + _LEAST).log()
