# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers of streaks rendered ahead, which samples take parts of."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ubcn_ros.data.drop_sizes import LARGEST_MM, DropSizes
from ubcn_ros.data.rain import RainRenderer
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.rain_streaks import FAR_M, NEAR_M, SMALLEST_DROP_MM
from ubcn_ros.network.blocks import resample
from ubcn_ros.training.prerender import rendered_ahead
from ubcn_ros.training.tensors.transfer import per_image, stacked, to_device
from ubcn_ros.training.tensors.views import reflected, sampled, transformed

RATES_MM_H = (8.0, 20.0, 45.0, 90.0, 150.0, 240.0)
"""Rain rates of the layers."""

_LARGEST_RATIO = 1.5  # from one frame size of the layers to the next
_PHYSICAL = RainParameters(0.0)
_JITTER = 0.08  # of a layer against the frame, shares of its size


def frame_sizes(sides: tuple[float, float], aspect: float) -> list[tuple[int, int]]:
    """
    Choose heights and widths of frames near to all short sides of a range.

    :param sides: smallest and largest short side, pixels.
    :param aspect: width over height.
    """
    steps = max(1, math.ceil(math.log(sides[1] / sides[0]) / math.log(_LARGEST_RATIO)))
    chosen = [sides[0] * (sides[1] / sides[0]) ** ((n + 0.5) / steps) for n in range(steps)]
    return [(round(side * max(1, 1 / aspect)), round(side * max(1, aspect))) for side in chosen]


def coverage(rate_mm_h: float) -> float:
    """
    Work out what the streaks of a rain rate cover, up to a constant.

    A streak's opacity times its area goes with the square of its drop's diameter over distance:
    the sum over all distances of the squares from the thinnest drop drawn there up.
    """
    distances = np.linspace(NEAR_M, FAR_M, 32)
    thinnest = np.clip(_PHYSICAL.thinnest_mm_m * distances, SMALLEST_DROP_MM, LARGEST_MM)
    return float(DropSizes(rate_mm_h).squares_above(thinnest).sum())


@dataclass(frozen=True)
class LayerView:
    """
    How a sample looks at a layer of streaks.

    :param size, layer: number of the frame size, and of the layer among those of that size.
    :param gain: factor on its optical thickness.
    :param shift: right and down, shares of the layer's size.
    :param mirror: left and right are exchanged.
    """

    size: int
    layer: int
    gain: float
    shift: tuple[float, float]
    mirror: bool


def _layer(size: tuple[int, int], kinds: Sequence[bool], variants: int, seed: int, n: int
           ) -> np.ndarray:
    """Optical thickness of a layer, (H, W) float16, of streaks with a gain of 1."""
    kind, rate = divmod(n // variants, len(RATES_MM_H))
    rng = np.random.default_rng([seed, 6, *size, n])
    parameters = RainParameters.random(rng, RATES_MM_H[rate], kinds[kind])
    thickness = RainRenderer(parameters, *size, int(rng.integers(1 << 31))).thickness()
    return (thickness / max(parameters.streak_gain, 1e-6)).clip(0, 6e4).astype(np.float16)


class StreakLayers:
    """
    Layers of streaks on a device, several of every size, rain rate and kind.

    :param sizes: heights and widths of the frames that they are rendered for, pixels.
    :param kinds: of their parameters: physical, not, or both (``RainParameters.random``).
    :param variants: layers of each size, rate and kind.
    :param seed: of the drops and parameters.
    :param workers: processes that render them.
    :ivar sizes: heights and widths of the layers.
    :ivar frames: of the frames whose rain they show: larger than layers that were shrunk.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], kinds: Sequence[bool], variants: int,
                 seed: int, device: torch.device, workers: int = 0) -> None:
        self.frames, self.kinds, self.variants = tuple(sizes), tuple(kinds), variants
        numbers = range(len(kinds) * len(RATES_MM_H) * variants)
        self._layers = [stacked(rendered_ahead(
            partial(_layer, size, self.kinds, variants, seed), numbers, workers), device)[:, None]
            for size in sizes]
        self.sizes = self.frames

    def with_shrunk(self, side: int) -> StreakLayers:
        """
        Return these layers, and those of larger frames shrunk for this short side, pixels.

        Rain before a large camera's frame that is shrunk afterwards is softer than rain rendered
        for a small one's. They are so much larger than that side that a whole frame may be
        shifted in them, and are of frames that are so much smaller.
        """
        more, room = copy.copy(self), 1 + 2 * _JITTER
        larger = [n for n, size in enumerate(self.sizes) if min(size) > room * side]
        added = [_shrunk(self._layers[n], room * side / min(self.sizes[n])) for n in larger]
        more.frames = (*self.frames, *(tuple(round(length / room) for length in self.frames[n])
                                       for n in larger))
        more.sizes = (*self.sizes, *(tuple(layers.shape[-2:]) for layers in added))
        more._layers = self._layers + added
        return more

    def draw(self, rng: np.random.Generator, side: float, shown: np.ndarray, rate_mm_h: float,
             gain: float, physical: bool, shrunk: float = 1.0) -> LayerView:
        """
        Draw a layer that holds what a sample shows, where there is one, and a place in it.

        :param side: short side of the frame at the sample's size, pixels.
        :param shown: (2, 2), as of ``View.shown``.
        :param rate_mm_h: rain rate, above 0.
        :param gain: factor on the opacity, as ``RainParameters.streak_gain``.
        :param physical: kind of the layer, one of ``kinds``.
        :param shrunk: how much larger the camera's frame is.
        """
        def misfit(n: int) -> tuple[bool, float]:
            small = any(np.diff(shown)[::-1, 0] > np.array(self.sizes[n]) + 1)
            return small, (abs(math.log(min(self.sizes[n]) / side))
                           + abs(math.log(min(self.frames[n]) / side / shrunk)))
        size = min(range(len(self.sizes)), key=misfit)
        mirror = bool(rng.random() < 0.5)
        span = np.stack([-shown[0, ::-1] if mirror else shown[0], shown[1]])
        shift = tuple(_shift(rng.uniform(-_JITTER, _JITTER), *part, length)
                      for part, length in zip(span, self.sizes[size][::-1], strict=True))
        rate = int(np.argmin([abs(math.log(r / rate_mm_h)) for r in RATES_MM_H]))
        first = (self.kinds.index(physical) * len(RATES_MM_H) + rate) * self.variants
        return LayerView(size, first + int(rng.integers(self.variants)),
                         gain * coverage(rate_mm_h) / coverage(RATES_MM_H[rate]),
                         shift, mirror)

    def thickness(self, views: Sequence[LayerView], frames: Sequence[np.ndarray],
                  crop: Sequence[int]) -> torch.Tensor:
        """
        Look at layers, pixel by pixel, each mirrored at its edges.

        Thin streaks stay sharp: a layer is not resized, the nearest size is what is taken.

        :param frames: N of (2, 3), as of ``View.from_middle``, without turns.
        :param crop: height and width of the samples.
        :return: optical thickness, (N, 1, h, w) float32.
        """
        device = self._layers[0].device
        result = torch.empty(len(views), 1, *crop, device=device)
        for size in {view.size for view in views}:
            places = [n for n, view in enumerate(views) if view.size == size]
            height, width = self.sizes[size]
            matrices = [_to_layer(views[n], frames[n], height, width) for n in places]
            points = reflected(transformed(matrices, crop, device),
                               to_device([width, height], device))
            gain = per_image([views[n].gain for n in places], device)
            result[to_device(places, device, torch.int64)] = gain * sampled(
                self._layers[size], [views[n].layer for n in places], points)
        return result


def _shift(drawn: float, start: float, end: float, length: int) -> float:
    """
    Return a shift that leaves what is shown inside the layer, where it has room to be shifted.

    Places beyond an edge are turned back there, so that they differ as much as those inside; where
    there is less room than for a shift of ``_JITTER`` to both sides, edges are passed by that.

    :param drawn: wanted, a share of the layer's length.
    :param start, end: of what is shown, from the frame's middle, pixels.
    """
    room, least = length - (end - start), _JITTER * length
    first, last = min(0, room / 2 - least), max(room, room / 2 + least)
    place = (start + (0.5 + drawn) * length - first) % (2 * (last - first))
    turned = first + min(place, 2 * (last - first) - place)
    return (turned - start) / length - 0.5


def _to_layer(view: LayerView, frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """From a sample's pixels to a layer's, (2, 3)."""
    matrix = frame * np.array([[-1.0 if view.mirror else 1.0], [1.0]])
    matrix[:, 2] += (width * (0.5 + view.shift[0]), height * (0.5 + view.shift[1]))
    return np.rint(matrix)  # whole pixels


def _shrunk(layers: torch.Tensor, factor: float) -> torch.Tensor:
    """Shrink layers so that a streak of the usual opacity covers its share of each pixel."""
    size = tuple(round(side * factor) for side in layers.shape[-2:])
    gain = _PHYSICAL.streak_gain
    return torch.cat([
        resample(-torch.expm1(-gain * few.float()), size).clamp_(0, 1 - 1e-6).neg_().log1p_()
        .div_(-gain).to(layers.dtype) for few in layers.split(16)])
