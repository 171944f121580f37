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
from collections.abc import Callable, Sequence
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
_EVEN = 16  # what is coarser than blocks of that many pixels is what the veil left
_BLOCK = (96, 128)  # height and width of a part of the grid, in which streaks are about parallel
_FAINT, _DENSE = 0.008, 0.03  # opacities: below is noise; how long and wide streaks are is seen
# better where those above count alike, as near ones are few
_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 44)
_COLUMNS = (1, 2, 3, 4, 6)
_SLANT = 0.8  # columns per row
_DARKEST_SKY, _LEAST_CONTRAST = 0.2, 0.25
_LEAST = 1e-6
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
    dusk that is its opacity. How much of a frame streaks cover depends on the shutter time as much
    as on the rain, but so does their length: two layers turn the opacities of the parts of the
    frame, and how these are correlated with themselves along and across streaks, into
    ``rain_logs``. It is small, and stays in fp32 whatever the network is in.
    """

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        found = math.prod(GRID) // math.prod(_BLOCK) + 2 + 2 * len(_ROWS) + len(_COLUMNS)
        # they differ by far less than they are
        self.layers = nn.Sequential(nn.BatchNorm1d(found), nn.Linear(found, features),
                                    nn.LeakyReLU(0.1), nn.Linear(features, 2))
        self.correlation = Autocorrelation(_BLOCK, _ROWS, _COLUMNS, _SLANT)
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
            return self.layers(self.measure(scene, seen - scene))

    def measure(self, scene: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
        """
        Measure the streaks.

        :param scene, light: (N, 1, *GRID), brightness of B1, 0..1, and what IDM took away.
        :return: (N, features): logarithms of opacities, and correlations, -1..1.
        """
        light = light - resize(F.avg_pool2d(light, _EVEN), light.shape[-2:])
        sky = F.avg_pool2d(scene, _EVEN).amax((2, 3), keepdim=True).clamp(min=_DARKEST_SKY)
        opacity = light / (sky - scene).clamp(min=_LEAST_CONTRAST)
        opacity = F.relu(opacity - _FAINT).clamp(max=1)
        parts = F.avg_pool2d(opacity, _BLOCK).flatten(1)
        energy = opacity.square().mean((2, 3))
        own, along, across = self.correlation(opacity.clamp(max=_DENSE) / _DENSE)
        # of the frame, where parts with many streaks count most, and of the mean part
        mean = own.mean(1, keepdim=True)
        own = own[..., None]
        return torch.cat(((parts + 10 * _LEAST).log(), (energy + _LEAST).log(),
                          (mean + _LEAST).log(), along.mean(1) / (mean + _LEAST),
                          (along / (own + _LEAST)).mean(1), (across / (own + _LEAST)).mean(1)), 1)


class Autocorrelation(nn.Module):
    """
    Correlate the parts of an image with themselves, shifted.

    By the power spectrum (Wiener and Khinchin), so that a part goes on at its other side. The
    Fourier transform is products of matrices: every runtime has these.

    :param block: height and width of a part.
    :param rows, columns: shifts in pixels, 1 or more.
    :param slant: how many columns per row what is shifted by rows may be shifted to the sides.
    """

    def __init__(self, block: tuple[int, int], rows: Sequence[int], columns: Sequence[int],
                 slant: float) -> None:
        super().__init__()
        self.block, self.columns = block, list(columns)
        self.reaches = [int(slant * row) + 1 for row in rows]
        height, width = block
        frequencies = torch.arange(height), torch.arange(width // 2 + 1)
        shifts = (torch.tensor([0, *rows]), torch.arange(max(*self.reaches, *columns) + 1))
        for axis, size, frequency, shift in zip(('row', 'column'), block, frequencies, shifts,
                                                strict=True):
            for kind, places in (('waves', torch.arange(size)), ('shifts', shift)):
                angle = 2 * math.pi / size * (torch.outer(places, frequency) % size)
                self.register_buffer(f'{axis}_{kind}', torch.stack((angle.cos(), angle.sin())),
                                     persistent=False)
        # frequencies that are not listed are as strong as their opposites
        twice = torch.full((width // 2 + 1,), 2.0)
        twice[[0, -1]] = 1
        self.register_buffer('share', twice / (height * width) ** 2, persistent=False)

    def _apply(self, fn: Callable, recurse: bool = True) -> Autocorrelation:
        exact = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, value in exact.items():  # moved, but not rounded
            setattr(self, name, value.to(getattr(self, name).device))
        return self

    def forward(self, image: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Return the means of the products of a part, less its own mean, with its shifted self.

        :param image: (N, 1, H, W), H and W multiples of the block.
        :return: unshifted (N, parts); shifted by each of the rows and to where on either side it
            is largest (N, parts, rows); shifted by each of the columns (N, parts, columns).
        """
        height, width = self.block
        n, _, h, w = image.shape
        parts = image.view(n, h // height, height, w // width, width).transpose(2, 3)
        parts = parts.reshape(n, -1, height, width)
        parts = parts - parts.mean((2, 3), keepdim=True)
        real, imaginary = (parts @ waves for waves in self.column_waves)
        cosine, sine = self.row_waves
        power = ((cosine @ real - sine @ imaginary).square()
                 + (sine @ real + cosine @ imaginary).square()) * self.share
        even, odd = (rows @ power @ columns.mT for rows, columns in zip(
            self.row_shifts, self.column_shifts, strict=True))
        along = even + odd.abs()  # to the left or right
        return (even[..., 0, 0],
                torch.stack([along[..., i, :reach + 1].amax(-1)
                             for i, reach in enumerate(self.reaches, 1)], -1),
                torch.stack([even[..., 0, column] for column in self.columns], -1))
