# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Soft streaks: layers, each of streaks alike, which continue at the opposite edge.

They are drawn ahead; samples take parts of them, turned and lit anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ubcn_ros.data.log_uniform import log_uniform
from ubcn_ros.training.prerender import rendered_ahead
from ubcn_ros.training.tensors.transfer import per_image, stacked, to_device
from ubcn_ros.training.tensors.views import sampled, transformed

_PICTURES = 32  # of each size
_THINNEST_PX = 0.8
_LENGTHS = (0.6, 1.0, 1.6)  # of the streaks of one layer, over their length


@dataclass(frozen=True)
class StreakParameters:
    """
    What the streaks of one layer look like; lengths are shares of the frame's short side.

    :param length, width: of a streak; one thinner than a pixel is drawn as a fainter pixel.
    :param softness: of its sides, 0 (nearly a box) to 1 (a bell).
    :param cover: share of the layer that lies under streaks.
    :param gain: optical thickness of the brightest ones.
    """

    length: float
    width: float
    softness: float
    cover: float
    gain: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> StreakParameters:
        """
        Draw some: from specks to strokes across the picture, from hairlines to curtains.

        The wider streaks are, the fainter and the longer: they are nearer, or many in one.
        """
        width = log_uniform(rng, 0.0008, 0.02)
        faint = min(1.0, (0.003 / width) ** 0.6)
        return cls(log_uniform(rng, max(0.012, 4 * width), min(0.7, 250 * width)), width,
                   float(rng.random()), log_uniform(rng, 0.02, 0.4),
                   float(rng.uniform(0.3, 1.0)) * faint)


def soft_streaks(height: int, width: int, streaks: StreakParameters, rng: np.random.Generator,
                 side: float, angle: float = 0.0) -> np.ndarray:
    """
    Draw a layer of streaks.

    :param streaks: what they look like.
    :param rng: generator that their places and strengths are drawn from.
    :param side: short side of the frame, pixels, of which the layer may be a part.
    :param angle: of all streaks, degrees from the vertical.
    :return: optical thickness, (height, width) float32, 0 or more.
    """
    length, thin = streaks.length * side, streaks.width * side
    across = max(thin, _THINNEST_PX)
    count = streaks.cover * height * width / ((length + across) * across * len(_LENGTHS))
    spectrum = 0
    for factor in _LENGTHS:
        specks = np.zeros(height * width, np.float32)
        n = int(rng.poisson(count / factor))
        np.add.at(specks, rng.integers(0, height * width, n),
                  rng.uniform(0.2, 1.0, n).astype(np.float32))
        kernel = _streak(height, width, factor * length, across, streaks.softness, angle)
        spectrum = spectrum + np.fft.rfft2(specks.reshape(height, width)) * np.fft.rfft2(kernel)
    layer = np.fft.irfft2(spectrum, (height, width)).astype(np.float32)
    return np.maximum(layer, 0) * np.float32(streaks.gain * min(1.0, thin / across))


def _streak(height: int, width: int, length: float, thickness: float, softness: float,
            angle: float) -> np.ndarray:
    """One streak around the first pixel, beyond the edges on the opposite side; peak 1."""
    # a streak longer than the picture would lie over itself
    length = min(length, 0.9 * np.hypot(height, width))
    y = (np.fft.fftfreq(height) * height).astype(np.float32)[:, None]
    x = (np.fft.fftfreq(width) * width).astype(np.float32)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    across, along = np.abs(x * c - y * s), np.abs(x * s + y * c)
    edge = np.float32(max(0.25, 0.5 * softness * thickness))
    profile = 1 / (1 + np.exp(np.minimum((across - thickness / 2) / edge, 50)))
    ends = 1 / (1 + np.exp(np.minimum((along - length / 2) / max(0.5, length / 10), 50)))
    streak = profile * ends
    return streak / streak.max()


@dataclass(frozen=True)
class StreakView:
    """
    How a sample looks at a picture of streaks.

    :param picture: which one.
    :param matrix: (2, 3), from the sample's pixels to the picture's.
    :param gain: factor on its optical thickness.
    """

    picture: int
    matrix: np.ndarray
    gain: float


def _picture(sides: Sequence[int], size: tuple[int, int], seed: int, n: int) -> np.ndarray:
    """Optical thickness of upright streaks, (H + 1, W + 1) float16: the last are the first."""
    rng = np.random.default_rng([seed, 8, n])
    layer = soft_streaks(*size, StreakParameters.draw(rng), rng, sides[n // _PICTURES])
    return np.pad(layer, (0, 1), mode='wrap').astype(np.float16)


class SoftStreaks:
    """
    Pictures of streaks on a device, several for every size of a frame.

    :param sides: short sides of those frames, pixels.
    :param size: height and width of every picture, pixels; that of the samples is good.
    :param seed: of what is drawn.
    :param workers: processes that draw.
    """

    def __init__(self, sides: Sequence[int], size: tuple[int, int], seed: int,
                 device: torch.device, workers: int) -> None:
        self.sides, self.size = tuple(sides), size
        self._pictures = stacked(rendered_ahead(
            partial(_picture, self.sides, size, seed), range(len(self.sides) * _PICTURES),
            workers), device)[:, None]

    def draw(self, rng: np.random.Generator, side: float, angle: float) -> StreakView:
        """
        Draw a picture of the nearest size, and a place in it.

        :param side: short side of the frame at the sample's size, pixels.
        :param angle: of the streaks, degrees from the vertical.
        """
        nearest = int(np.argmin([abs(math.log(own / side)) for own in self.sides]))
        zoom, c, s = self.sides[nearest] / side, *(
            f(math.radians(angle)) for f in (math.cos, math.sin))
        matrix = zoom * np.array([[c, -s, 0], [s, c, 0]])
        matrix[:, 2] = rng.random(2) * self.size[::-1]
        return StreakView(nearest * _PICTURES + int(rng.integers(_PICTURES)), matrix,
                          float(rng.uniform(0.7, 1.3)))

    def thickness(self, layers: Sequence[Sequence[StreakView]], crop: Sequence[int]
                  ) -> torch.Tensor:
        """
        Look at one or more pictures for each sample, which repeat without end.

        :param crop: height and width of the samples.
        :return: the sum of their optical thickness, (N, 1, h, w) float32.
        """
        device = self._pictures.device
        total = torch.zeros(len(layers), 1, *crop, device=device)
        last = to_device(self.size[::-1], device)
        for layer in range(max(map(len, layers))):  # one after the other: sums keep their order
            places = [n for n, own in enumerate(layers) if len(own) > layer]
            views = [layers[n][layer] for n in places]
            points = transformed([view.matrix for view in views], crop, device)
            gain = per_image([view.gain for view in views], device)
            total[to_device(places, device, torch.int64)] += gain * sampled(
                self._pictures, [view.picture for view in views],
                (points - 0.5).remainder(last) + 0.5)
        return total
