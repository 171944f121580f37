# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of soft streaks drawn ahead, which samples take parts of, turned and lit anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ubcn_ros.data.soft_streaks import StreakLook, soft_streaks
from ubcn_ros.training.ahead import rendered_ahead
from ubcn_ros.training.tensors.transfer import to_device
from ubcn_ros.training.tensors.views import sampled, transformed

_PICTURES = 32  # of each size


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
    layer = soft_streaks(*size, StreakLook.draw(rng), rng, sides[n // _PICTURES])
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
        self._pictures = torch.stack([
            torch.from_numpy(picture).to(device) for picture in rendered_ahead(
                partial(_picture, self.sides, size, seed), range(len(self.sides) * _PICTURES),
                workers)])[:, None]

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
            gain = to_device([view.gain for view in views], device).view(-1, 1, 1, 1)
            total[to_device(places, device, torch.int64)] += gain * sampled(
                self._pictures, [view.picture for view in views],
                (points - 0.5).remainder(last) + 0.5)
        return total
