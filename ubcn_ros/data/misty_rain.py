# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Misty rain: a second, independent family of rendered rain for training.

It follows no drop size distribution and has no rain rate. Mist of several laws lies in bright,
coloured light, gathers between near and far and scatters what is behind it; streaks are soft, of
any length and density, and come in showers; drops sit on the lens; the sensor adds noise, and the
image is compressed. A network that has seen one renderer alone takes its veil for the only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ubcn_ros.data.image_checks import depth_of, far_where_unknown
from ubcn_ros.data.lens_drops import drops_on_lens, seen_through
from ubcn_ros.data.rain import estimate_airlight
from ubcn_ros.data.sensor import SensorLook, add_sensor_noise, compressed
from ubcn_ros.data.soft_streaks import StreakLook, soft_streaks

LENS_SHARE = 0.35
"""Of the images that have drops on the lens."""
BLUR = 8
"""Pixels in one of what mist scatters."""

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

        :param sky: (3,) RGB on 0..1, as of ``estimate_airlight``: mist is hardly ever darker, and
            at most 1.6 times as bright.
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
            bank_m=float(np.exp(rng.uniform(np.log(6), np.log(60)))), uneven=uneven(0.6),
            scatter=float(rng.random() * (rng.random() < 0.5)), shower=uneven(0.8),
            streak_light=np.clip(airlight * rng.uniform(0.9, 1.3), 0, 1),
            streaks_first=bool(rng.random() < 0.3))


def mist_thickness(distance: Any, at_100_m: Any, power: Any, film: Any, bank: Any, bank_m: Any
                   ) -> Any:
    """
    Return the optical thickness of mist up to a distance, without its unevenness.

    :param distance: metres, an array or tensor, as the others may be, which are as of ``Mist``.
    """
    return (film + at_100_m * (distance / 100) ** power
            + bank / (1 + (bank_m / distance) ** 4))


def add_misty_rain(image: np.ndarray, rng: np.random.Generator, depth: np.ndarray | None = None
                   ) -> np.ndarray:
    """
    Render misty rain on a frame; all lengths go with its short side.

    :param image: (H, W, 3) uint8 RGB.
    :param rng: generator that everything is drawn from.
    :param depth: (H, W) metres; None for the prior of ``depth_prior``.
    :return: (H, W, 3) uint8 RGB.
    :raises ValueError: an image or depth of another size or type.
    """
    depth = depth_of(image, depth)
    height, width = depth.shape
    mist, sensor = Mist.draw(rng, estimate_airlight(image)), SensorLook.draw(rng)
    scene = misty(image.astype(np.float32), depth, random_streaks(height, width, rng), mist)
    if rng.random() < LENS_SHARE:
        scene = seen_through(scene, *drops_on_lens(height, width, rng, min(height, width)))
    scene = add_sensor_noise(scene, sensor, rng)
    return compressed(np.clip(scene + 0.5, 0, 255).astype(np.uint8), sensor.quality)


def random_streaks(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one to three layers of streaks of about one direction, (H, W) optical thickness."""
    return sum(soft_streaks(height, width, StreakLook.draw(rng), rng, min(height, width), angle)
               for angle in draw_angles(rng))


def draw_angles(rng: np.random.Generator) -> list[float]:
    """Draw the directions of one to three layers of streaks, degrees from the vertical."""
    angle = float(rng.normal(0, 14))
    return [angle + float(rng.normal(0, 4)) for _ in range(int(rng.integers(1, 4)))]


def misty(image: np.ndarray, distance: np.ndarray, streaks: np.ndarray, mist: Mist) -> np.ndarray:
    """
    Put mist and streaks before an image.

    :param image: (H, W, 3) float32 RGB on 0..255.
    :param distance: (H, W) metres, far where not finite or not positive.
    :param streaks: optical thickness, (H, W).
    :return: likewise, not clipped.
    """
    height, width = distance.shape
    distance = far_where_unknown(distance)

    def enlarged(coarse: np.ndarray) -> np.ndarray:
        return cv2.resize(coarse.astype(np.float32), (width, height),
                          interpolation=cv2.INTER_LINEAR)
    thickness = mist_thickness(distance, mist.at_100_m, mist.power, mist.film, mist.bank,
                               mist.bank_m)
    veil = -np.expm1(-thickness * enlarged(mist.uneven))[..., None]
    cover = -np.expm1(-streaks * enlarged(mist.shower))[..., None]
    rows = 0.5 - (np.arange(height, dtype=np.float32)[:, None, None] + 0.5) / height
    light = (255 * np.clip(mist.airlight * (1 + mist.slope * rows), 0, 1)).astype(np.float32)
    drops = (255 * mist.streak_light).astype(np.float32)
    if mist.streaks_first:
        image = image + cover * (drops - image)
    if mist.scatter:
        image = image + mist.scatter * veil * (_scattered(image) - image)
    image = image + veil * (light - image)
    return image if mist.streaks_first else image + cover * (drops - image)


def _scattered(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // BLUR), max(1, height // BLUR)),
                       interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.blur(small, (3, 3)), (width, height), interpolation=cv2.INTER_LINEAR)
