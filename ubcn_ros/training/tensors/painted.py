# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Painted rain from pictures of streaks that are drawn ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.painted_rain import painted_layers, random_severity
from ubcn_ros.training.prerender import rendered_ahead
from ubcn_ros.training.tensors.transfer import per_image, stacked, to_device
from ubcn_ros.training.tensors.views import sampled, transformed

_PICTURES = 128
_LARGER = 1.5  # a picture than a sample: mirrored at an edge, streaks would lean both ways
_ZOOM = 0.2  # largest, as a logarithm


@dataclass(frozen=True)
class Painting:
    """
    How a sample is painted over.

    :param picture: number of the picture of streaks.
    :param matrix: (2, 3), from the sample's pixels to the picture's.
    :param tint: (3,) RGB, factor on the streaks.
    :param screen: they are screened over the image instead of added.
    :param haze: (3, 4), share of grey at coarse places.
    :param grey: radiance of the haze, 0..1.
    """

    picture: int
    matrix: np.ndarray
    tint: np.ndarray
    screen: bool
    haze: np.ndarray
    grey: float


def _picture(size: tuple[int, int], seed: int, severities: tuple[float, float], noise: float,
             n: int) -> tuple[float, np.ndarray]:
    """Severity, and streaks (H, W) float16."""
    rng = np.random.default_rng([seed, 7, n])
    severity = random_severity(rng, *severities)
    return severity, sum(painted_layers(*size, rng, severity, noise)).astype(np.float16)


class PaintedStreaks:
    """
    Pictures of painted streaks on a device.

    :param crop: height and width of the samples.
    :param seed: of what is drawn.
    :param workers: processes that draw.
    :param severity, haze_probability, noise_probability: as ``painted_...`` of ``SampleConfig``.
    """

    def __init__(self, crop: tuple[int, int], seed: int, device: torch.device, workers: int,
                 severity: tuple[float, float], haze_probability: float,
                 noise_probability: float) -> None:
        self.crop, self.haze_probability = crop, haze_probability
        self.size = size = tuple(math.ceil(_LARGER * side) for side in crop)
        drawn = list(rendered_ahead(partial(_picture, size, seed, severity, noise_probability),
                                    range(_PICTURES), workers))
        self._severities = [severity for severity, _ in drawn]
        self._pictures = stacked((picture for _, picture in drawn), device)[:, None]

    def draw(self, rng: np.random.Generator) -> Painting:
        """Draw a picture, a place in it, and light."""
        picture = int(rng.integers(len(self._severities)))
        zoom, mirror = float(np.exp(rng.uniform(-_ZOOM, _ZOOM))), bool(rng.random() < 0.5)
        shown = zoom * np.array(self.crop)
        y, x = rng.random(2) * (self.size - shown)
        matrix = np.array([[-zoom, 0, x + shown[1]] if mirror else [zoom, 0, x], [0, zoom, y]])
        amount = 0.5 * self._severities[picture] * rng.random()
        amount *= rng.random() < self.haze_probability
        return Painting(picture, matrix, 1 - 0.1 * rng.random(3), bool(rng.random() < 0.5),
                        amount * (rng.random((3, 4)) * 0.6 + 0.7), float(rng.uniform(0.6, 0.95)))

    def painted(self, images: torch.Tensor, paintings: Sequence[Painting]) -> torch.Tensor:
        """
        Paint rain over images, each by its own painting.

        :param images: (N, 3, h, w) float32 on 0..255.
        :return: likewise.
        """
        device, crop = images.device, images.shape[-2:]
        points = transformed([p.matrix for p in paintings], crop, device)
        streaks = sampled(self._pictures, [p.picture for p in paintings], points)
        coarse = to_device([p.haze for p in paintings], device)[:, None]
        haze = F.interpolate(coarse, crop, mode='bicubic', align_corners=False).clamp(0, 0.9)
        grey, tint, screen = (per_image([getattr(p, name) for p in paintings], device)
                              for name in ('grey', 'tint', 'screen'))
        scene = images / 255
        scene = scene + haze * (grey - scene)
        light = streaks * tint
        added = scene + light
        screened = 1 - (1 - scene) * (1 - light.clamp(max=1))
        return (255 * (screen * screened + (1 - screen) * added)).clamp(0, 255)
