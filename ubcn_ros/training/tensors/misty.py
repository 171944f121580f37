# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Misty rain: a second, independent family of rendered rain for training.

It follows no drop size distribution and has no rain rate. Mist of several laws lies in bright,
coloured light, gathers between near and far and scatters what is behind it; streaks are soft, of
any length and density, and come in showers; drops sit on the lens; the sensor adds noise, and the
image is compressed. A network that has seen one renderer alone takes its veil for the only one.
Streaks and drops are drawn ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.log_uniform import log_uniform
from ubcn_ros.training.tensors.lens_drops import LensPictures, Placement, blurred
from ubcn_ros.training.tensors.sensor import SensorParameters, add_sensor_noise, compressed
from ubcn_ros.training.tensors.soft_streaks import SoftStreaks, StreakView
from ubcn_ros.training.tensors.transfer import to_device

_LENS_SHARE = 0.35  # of the images that have drops on the lens
_BLUR = 8  # pixels in one of what mist scatters
_COARSE = (4, 5)  # places at which mist and showers are denser or thinner


@dataclass(frozen=True)
class Mist:
    """
    The mist, the light in it, and that of the streaks.

    :param airlight: (3,) RGB on 0..1, at the middle row.
    :param slope: how much brighter it is at the top than at the bottom, as a share.
    :param at_100_m: optical thickness at 100 m.
    :param power: it goes with this power of the distance: 1 is Beer and Lambert's law.
    :param film: thickness everywhere, as on a windscreen.
    :param bank: thickness of a bank of mist from ``bank_m`` metres on.
    :param uneven: (4, 5), factor on all of it at coarse places.
    :param scatter: share of what is behind mist that is seen blurred, 0..1.
    :param shower: (4, 5), factor on the streaks at coarse places.
    :param streak_light: (3,) RGB on 0..1, of the streaks.
    :param streaks_first: they are behind the mist.
    """

    airlight: np.ndarray
    slope: float
    at_100_m: float
    power: float
    film: float
    bank: float
    bank_m: float
    uneven: np.ndarray
    scatter: float
    shower: np.ndarray
    streak_light: np.ndarray
    streaks_first: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, sky: np.ndarray) -> Mist:
        """
        Draw one, from hardly any to next to nothing left in the distance.

        :param sky: (3,) RGB on 0..1, as of ``rain.estimate_airlight``: mist is hardly ever darker,
            and at most 1.6 times as bright.
        """
        blue, green = 0.06 * rng.standard_normal(), 0.03 * rng.random()
        brightest = float(np.max(sky))
        level = max(rng.uniform(0.6, 1.0) * min(1.0, 1.6 * brightest), 0.95 * brightest)
        airlight = np.clip(level * np.exp([-blue, green - 0.3 * blue, blue]), 0, 1)
        thick = rng.beta(1.2, 1.6)

        def uneven(most: float) -> np.ndarray:
            spread = rng.uniform(0, most)
            return np.exp(spread * rng.standard_normal(_COARSE)).clip(0.1, 3)
        return cls(
            airlight, slope=float(rng.uniform(-0.1, 0.3)),
            at_100_m=float(3.0 * thick ** 2), power=float(rng.choice([0.5, 1.0, 1.0, 2.0])),
            film=float(0.35 * thick * rng.random() * (rng.random() < 0.5)),
            bank=float(1.2 * thick * rng.random() * (rng.random() < 0.5)),
            bank_m=log_uniform(rng, 6, 60), uneven=uneven(0.6),
            scatter=float(rng.random() * (rng.random() < 0.5)), shower=uneven(0.8),
            streak_light=np.clip(airlight * rng.uniform(0.9, 1.3), 0, 1),
            streaks_first=bool(rng.random() < 0.3))


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
    sensor: SensorParameters
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
        mist, sensor = Mist.draw(rng, sky), SensorParameters.draw(rng)
        streaks = tuple(self.streaks.draw(rng, side, angle) for angle in _angles(rng))
        lens = self.lens.draw(rng, side) if rng.random() < _LENS_SHARE else None
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


def _angles(rng: np.random.Generator) -> list[float]:
    """Draw the directions of one to three layers of streaks, degrees from the vertical."""
    angle = float(rng.normal(0, 14))
    return [angle + float(rng.normal(0, 4)) for _ in range(int(rng.integers(1, 4)))]


def misty(images: torch.Tensor, distance: torch.Tensor, streaks: torch.Tensor,
          mists: Sequence[Mist]) -> torch.Tensor:
    """
    Put mist and streaks before images.

    :param images: (N, 3, h, w) float32 on 0..255.
    :param distance: (N, 1, h, w) metres.
    :param streaks: optical thickness, (N, 1, h, w).
    :return: (N, 3, h, w) float32, not clipped.
    """
    device, crop = images.device, images.shape[-2:]
    numbers = to_device([(m.at_100_m, m.power, m.film, m.bank, m.bank_m, m.slope, m.scatter,
                          m.streaks_first) for m in mists], device)
    at_100_m, power, film, bank, bank_m, slope, scatter, first = numbers.view(
        len(mists), -1, 1, 1, 1).unbind(1)
    coarse = to_device([(m.uneven, m.shower) for m in mists], device)
    uneven, shower = F.interpolate(coarse, crop, mode='bilinear').split(1, 1)
    airlight, drops = (255 * to_device([(m.airlight, m.streak_light) for m in mists], device)
                       ).view(len(mists), 2, 3, 1, 1).unbind(1)
    thickness = (film + at_100_m * (distance / 100) ** power
                 + bank / (1 + (bank_m / distance) ** 4))
    veil = -torch.expm1(-thickness * uneven)
    cover = -torch.expm1(-streaks * shower)
    rows = 0.5 - (torch.arange(crop[0], device=device)[:, None] + 0.5) / crop[0]
    light = (airlight * (1 + slope * rows)).clamp(0, 255)
    scene = torch.lerp(images, drops, first * cover)
    scene = torch.lerp(scene, _scattered(scene), scatter * veil)
    scene = torch.lerp(scene, light, veil)
    return torch.lerp(scene, drops, (1 - first) * cover)


def _scattered(images: torch.Tensor) -> torch.Tensor:
    return F.interpolate(blurred(images, _BLUR), images.shape[-2:], mode='bilinear')
