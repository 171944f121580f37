# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Misty rain on tensors, as ``data.misty_rain`` has it, from streaks and drops drawn ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.misty_rain import BLUR, LENS_SHARE, Mist, draw_angles, mist_thickness
from ubcn_ros.data.sensor import SensorLook
from ubcn_ros.training.tensors.lens_drops import LensPictures, Placement, blurred
from ubcn_ros.training.tensors.sensor import add_sensor_noise, compressed
from ubcn_ros.training.tensors.soft_streaks import SoftStreaks, StreakView
from ubcn_ros.training.tensors.transfer import to_device


@dataclass(frozen=True)
class MistyDraw:
    """
    Everything random about misty rain on a sample, but for the noise.

    :param streaks: one to three layers.
    :param lens: drops on the lens, None for none.
    :param seed: of the noise.
    """

    mist: Mist
    streaks: tuple[StreakView, ...]
    lens: Placement | None
    sensor: SensorLook
    seed: int


class MistyRain:
    """
    Pictures of streaks and of drops on a device, and the rain that is made of them.

    :param sides: short sides of the frames that samples are parts of, pixels.
    :param crop: height and width of the samples.
    :param seed: of what is drawn.
    :param workers: processes that draw what comes ahead.
    """

    def __init__(self, sides: Sequence[int], crop: tuple[int, int], seed: int,
                 device: torch.device, workers: int) -> None:
        self.streaks = SoftStreaks(sides, crop, seed, device, workers)
        self.lens = LensPictures(crop, seed, device, workers)

    def draw(self, rng: np.random.Generator, side: float, sky: np.ndarray) -> MistyDraw:
        """
        Draw the rain of a sample.

        :param side: short side of the frame at the sample's size, pixels.
        :param sky: as of ``Mist.draw``.
        """
        mist, sensor = Mist.draw(rng, sky), SensorLook.draw(rng)
        streaks = tuple(self.streaks.draw(rng, side, angle) for angle in draw_angles(rng))
        lens = self.lens.draw(rng, side) if rng.random() < LENS_SHARE else None
        return MistyDraw(mist, streaks, lens, sensor, int(rng.integers(1 << 31)))

    def rained(self, images: torch.Tensor, distance: torch.Tensor, draws: Sequence[MistyDraw]
               ) -> torch.Tensor:
        """
        Rain on images, each by its own draw.

        :param images: (N, 3, h, w) float32 on 0..255.
        :param distance: (N, 1, h, w) metres.
        :return: likewise, on 0..255.
        """
        streaks = self.streaks.thickness([draw.streaks for draw in draws], images.shape[-2:])
        scene = misty(images, distance, streaks, [draw.mist for draw in draws])
        wet = [i for i, draw in enumerate(draws) if draw.lens is not None]
        if wet:
            where = to_device(wet, scene.device, torch.int64)
            scene[where] = self.lens.seen_through(scene[where], [draws[i].lens for i in wet])
        scene = add_sensor_noise(scene, [draw.sensor for draw in draws],
                                 [draw.seed for draw in draws])
        scene = scene.clamp_(0, 255)
        coded = [i for i, draw in enumerate(draws) if draw.sensor.quality]
        if coded:
            where = to_device(coded, scene.device, torch.int64)
            scene[where] = compressed(scene[where], [draws[i].sensor.quality for i in coded])
        return scene


def misty(images: torch.Tensor, distance: torch.Tensor, streaks: torch.Tensor,
          mists: Sequence[Mist]) -> torch.Tensor:
    """
    Put mist and streaks before images, as ``data.misty_rain.misty``.

    :param images: (N, 3, h, w) float32 on 0..255.
    :param distance: (N, 1, h, w) metres.
    :param streaks: optical thickness, (N, 1, h, w).
    :return: (N, 3, h, w) float32, not clipped.
    """
    device, crop = images.device, images.shape[-2:]
    numbers = to_device([(m.at_100_m, m.power, m.film, m.bank, m.bank_m, m.slope, m.scatter,
                          m.streaks_first) for m in mists], device)
    *law, slope, scatter, first = numbers.view(len(mists), -1, 1, 1, 1).unbind(1)
    coarse = to_device([(m.uneven, m.shower) for m in mists], device)
    uneven, shower = F.interpolate(coarse, crop, mode='bilinear').split(1, 1)
    airlight, drops = (255 * to_device([(m.airlight, m.streak_light) for m in mists], device)
                       ).view(len(mists), 2, 3, 1, 1).unbind(1)
    veil = -torch.expm1(-mist_thickness(distance, *law) * uneven)
    cover = -torch.expm1(-streaks * shower)
    rows = 0.5 - (torch.arange(crop[0], device=device)[:, None] + 0.5) / crop[0]
    light = (airlight * (1 + slope * rows)).clamp(0, 255)
    scene = torch.lerp(images, drops, first * cover)
    scene = torch.lerp(scene, _scattered(scene), scatter * veil)
    scene = torch.lerp(scene, light, veil)
    return torch.lerp(scene, drops, (1 - first) * cover)


def _scattered(images: torch.Tensor) -> torch.Tensor:
    return F.interpolate(blurred(images, BLUR), images.shape[-2:], mode='bilinear')
