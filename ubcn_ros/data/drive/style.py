# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What one drive looks like throughout: light, street, traffic and camera, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, radians, sin
from typing import Any

import numpy as np

from ubcn_ros.data.drive.surfaces import Light
from ubcn_ros.data.log_uniform import log_uniform

ZONES = ('shops', 'terrace', 'villas', 'offices', 'park', 'estate')


@dataclass(frozen=True)
class Style:
    """Choices that hold for a whole drive. Lengths in metres, colours 0..255 RGB."""

    light: Light
    zenith: tuple
    horizon: tuple
    cloud: tuple
    cover: float
    haze_m: float
    tint: tuple
    gamma: float
    vignette: float
    noise: float
    blur: float
    left_hand: bool
    lanes: int
    lane: float
    parking: float
    pavement: float
    verge: float
    asphalt: tuple
    paving: tuple
    grass: tuple
    zones: tuple[float, ...]
    trees: float
    season: str
    traffic: float
    parked: float
    walkers: float
    riders: float
    bends: tuple[tuple[float, float, float], ...]
    camera_height: float
    focal: float
    horizon_at: float
    yaw: float
    roll: float
    bonnet: float
    cycle_lane: tuple | None
    height_scale: float

    @property
    def half_road(self) -> float:
        """Return half the carriageway's width, parking included."""
        return self.lanes * self.lane + self.parking

    @property
    def edge(self) -> float:
        """Return the distance of the pavement's outer edge from the centre line."""
        return self.half_road + 0.15 + self.verge + self.pavement

    @property
    def our_side(self) -> int:
        """Return the sign of the lateral position that we drive on."""
        return -1 if self.left_hand else 1

    def center(self, z):
        """Return the lateral position of the centre line at z (metres); scalar or array."""
        return sum(a * np.sin(2 * pi * z / w + p) for a, w, p in self.bends)

    def slope(self, z: float) -> float:
        """Return the derivative of :meth:`center`."""
        return float(sum(a * 2 * pi / w * cos(2 * pi * z / w + p) for a, w, p in self.bends))


def _draw_weather(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the light, the colours of the sky, and the tint of the image."""
    uniform = rng.uniform
    weather = ('bright', 'overcast', 'dusk')[rng.choice(3, p=(0.45, 0.37, 0.18))]
    azimuth, elevation = uniform(-pi, pi), radians(uniform(14, 50))
    sun = (sin(azimuth) * cos(elevation), -sin(elevation), cos(azimuth) * cos(elevation))
    if weather == 'bright':
        light = Light(uniform(0.5, 0.72), uniform(0.5, 0.9), sun, 0.02)
        white = uniform(0, 1)
        zenith = np.array((92, 142, 205)) * (1 - white) + np.array((190, 212, 238)) * white
        horizon, cloud = np.array((226, 234, 242)), np.array((248, 248, 248))
        cover, tint = uniform(0.05, 0.6), (1 + uniform(0, .06), 1.0, 1 - uniform(0, .08))
    elif weather == 'overcast':
        light = Light(uniform(0.72, 1.15), uniform(0.0, 0.15), sun, 0.04)
        grey = uniform(185, 250)
        zenith, horizon = np.full(3, grey * 0.92), np.full(3, min(grey * 1.08, 253))
        cloud, cover = np.array((0.93, 0.95, 1.0)) * grey, uniform(0.5, 1.0)
        tint = (1 - uniform(0, .05), 1.0, 1 + uniform(-.02, .07))
    else:
        light = Light(uniform(0.3, 0.58), uniform(0.0, 0.1), sun, uniform(0.02, 0.3))
        grey = uniform(100, 185)
        warm = uniform(0, 1)
        zenith = np.array((0.85, 0.95, 1.1)) * grey * 0.8
        horizon = np.array((1.1 + .15 * warm, 1.08, 1.02 - .12 * warm)) * grey
        cloud, cover = np.array((0.72, 0.76, 0.82)) * grey, uniform(0.3, 0.9)
        tint = (1 - uniform(-.04, .1), 1.0, 1 + uniform(-.04, .12))
    return {'light': light, 'zenith': tuple(zenith), 'horizon': tuple(np.minimum(horizon, 254)),
            'cloud': tuple(cloud), 'cover': cover, 'tint': tint}


def draw_style(seed: int) -> Style:
    """Draw a drive's style from its seed."""
    rng = np.random.default_rng([seed, 1])
    uniform, weather = rng.uniform, _draw_weather(rng)
    lanes = 1 if rng.random() < 0.72 else 2
    asphalt = uniform(72, 128)
    spread = rng.dirichlet((0.8, 0.8, 0.7, 0.5, 0.55, 0.5))
    cycle = None
    if rng.random() < 0.2:
        cycle = ((132, 62, 52), (62, 96, 70))[rng.integers(2)]
    return Style(
        **weather, haze_m=log_uniform(rng, 180, 1500), gamma=uniform(0.7, 1.1),
        vignette=uniform(0.0, 0.3), noise=uniform(1.0, 4.5),
        blur=uniform(0.0, 0.9), left_hand=bool(rng.random() < 0.8), lanes=lanes,
        lane=uniform(2.8, 3.9), parking=float(rng.choice((0.0, 2.1))) if lanes == 1 else 0.0,
        pavement=uniform(1.5, 4.2), verge=uniform(0.8, 2.6) if rng.random() < 0.22 else 0.0,
        asphalt=tuple(np.array((1.0, 1.0, 1.0)) * asphalt + rng.normal(0, 3, 3)),
        paving=tuple(np.array((1.02, 1.0, 0.96)) * uniform(96, 172) + rng.normal(0, 5, 3)),
        grass=tuple(np.array((82, 104, 52)) * uniform(0.75, 1.2)), zones=tuple(spread),
        trees=uniform(0.05, 1.0), season=('summer', 'autumn', 'bare', 'bare', 'mixed')[
            rng.integers(5)], traffic=uniform(0.1, 1.0), parked=uniform(0.05, 0.85),
        walkers=uniform(0.25, 1.3), riders=uniform(0.15, 1.2),
        bends=tuple((uniform(0, a), uniform(0.7, 1.4) * w, uniform(0, 2 * pi))
                    for a, w in ((14.0, 420.0), (2.5, 150.0))),
        camera_height=uniform(1.15, 1.9), focal=uniform(0.72, 1.3),
        horizon_at=uniform(0.40, 0.56), yaw=radians(rng.normal(0, 2.5)),
        roll=radians(rng.normal(0, 0.7)), bonnet=uniform(0.03, 0.1) if rng.random() < 0.2 else 0,
        cycle_lane=cycle, height_scale=uniform(0.8, 1.35))
