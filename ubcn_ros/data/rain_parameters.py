# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What rain looks like, and how it is drawn for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubcn_ros.data.log_uniform import log_uniform

MAX_RATE_MM_H = 300.0
# thinnest streak that is drawn, pixels of a frame of this width; what is thinner belongs to the
# veil, whatever the width of the frame: a camera's pixels do not change how much it rains
_THINNEST_PX, _REFERENCE_WIDTH = 0.3, 480
_DRY = 0.08  # share of dry frames in training


@dataclass(frozen=True)
class RainParameters:
    """
    Everything that decides what rain looks like, except the seed.

    The defaults of streak_gain and veil_strength are not physical: they were chosen so that CamVid
    val without depth has an input PSNR of about 26, 20, 18 dB at 50, 150, 250 mm/hr (with
    streak_gain 1 it is 5 to 6 dB less).

    :raises ValueError: a value out of range.
    """

    # rain rate, 0..300 mm/hr
    rate_mm_h: float
    # shutter time, 0.0005..0.1 s
    exposure_s: float = 0.010
    # forward speed of the camera
    speed_m_s: float = 6.0
    # wind to the right and forward
    wind_m_s: tuple[float, float] = (0.0, 0.0)
    # spread of single drops' velocities
    turbulence_m_s: float = 0.25
    # focal length, fraction of the frame's width
    focal: float = 1.0
    # row of the horizon (and of the focus of expansion), fraction of the frame's height
    horizon: float = 0.45
    # rotation of the fall direction about the optical axis
    roll_deg: float = 0.0
    # factor on the number of drops
    density_gain: float = 1.0
    # factor on the size of drops
    width_gain: float = 1.0
    # factor on the opacity of streaks
    streak_gain: float = 0.3
    # factor on the radiance of drops
    brightness_gain: float = 1.0
    # lens aperture, which softens near streaks
    aperture_mm: float = 1.2
    # spread (log scale) of single streaks' opacity
    unevenness: float = 0.4
    # share of the airlight in a drop's radiance, 0..1; the rest is the mean radiance around it
    ambient: float = 0.85
    # factor on the extinction of 0.312 R^0.67 per km
    veil_strength: float = 0.38
    # RGB 0..1, or None to estimate it from the image
    airlight: tuple[float, float, float] | None = None
    # factor on the radiance of the veil
    airlight_gain: float = 1.0
    # camera noise on 0..255
    noise_sigma: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate_mm_h <= MAX_RATE_MM_H:
            raise ValueError(f'rate_mm_h is {self.rate_mm_h}, must be 0..{MAX_RATE_MM_H:g} mm/hr')
        if not 0.0005 <= self.exposure_s <= 0.1:
            raise ValueError(f'exposure_s is {self.exposure_s}, must be 0.0005..0.1 s')
        if not 0 <= self.ambient <= 1:
            raise ValueError(f'ambient is {self.ambient}, must be 0..1')
        for name in ('focal', 'width_gain'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} is {getattr(self, name)}, must be above 0')
        for name in ('density_gain', 'streak_gain', 'brightness_gain', 'aperture_mm',
                     'unevenness', 'veil_strength', 'airlight_gain', 'noise_sigma',
                     'turbulence_m_s'):
            if not getattr(self, name) >= 0:
                raise ValueError(f'{name} is {getattr(self, name)}, must not be negative')

    @property
    def thinnest_mm_m(self) -> float:
        """Least ratio of diameter to distance of drops that are drawn as streaks, mm per metre."""
        return _THINNEST_PX / (self.focal * _REFERENCE_WIDTH * 1e-3 * self.width_gain)

    @property
    def extinction(self) -> float:
        """Extinction of the veil, 1/m."""
        return self.veil_strength * veil_extinction(self.rate_mm_h)

    @classmethod
    def random(cls, rng: np.random.Generator, rate_mm_h: float, physical: bool = False
               ) -> RainParameters:
        """
        Draw parameters for training.

        :param rng: generator that everything is drawn from.
        :param rate_mm_h: rain rate, 0..300 mm/hr.
        :param physical: vary only what differs between real drives: speed 0..12 m/s, wind +-4 m/s,
            exposure 6..16 ms. False varies all but the rate.
        """
        drive = {'speed_m_s': float(rng.uniform(0, 12)),
                 'wind_m_s': (float(rng.uniform(-4, 4)), float(rng.uniform(-4, 4))),
                 'exposure_s': float(rng.uniform(0.006, 0.016))}
        if physical:
            return cls(rate_mm_h, **drive)

        def around(value: float, spread: float) -> float:
            """Log-normal around a value, at most three spreads away."""
            z = float(np.clip(rng.standard_normal(), -3, 3))
            return value * float(np.exp(spread * z))

        tint = 1 + 0.04 * np.clip(rng.standard_normal(3), -2, 2)
        level = rng.uniform(0.75, 1.0)  # darker would turn a bright sky into a wall
        own = rng.random() < 0.25
        airlight = tuple(float(c) for c in np.clip(level * tint, 0, 1)) if own else None
        drive['wind_m_s'] = (drive['wind_m_s'][0] * (1 + 0.8 * float(rng.random())),
                             drive['wind_m_s'][1])
        drive['exposure_s'] = float(np.clip(around(drive['exposure_s'], 0.4), 0.002, 0.04))
        return cls(
            rate_mm_h, **drive,
            turbulence_m_s=around(0.25, 0.6),
            focal=around(1.0, 0.15),
            horizon=float(np.clip(0.45 + 0.05 * rng.standard_normal(), 0.2, 0.7)),
            roll_deg=float(8 * np.clip(rng.standard_normal(), -3, 3)),
            density_gain=around(1.0, 0.4),
            width_gain=around(1.0, 0.3),
            streak_gain=around(0.3, 0.4),
            brightness_gain=float(np.clip(around(1.0, 0.12), 0.5, 1.4)),
            aperture_mm=around(1.2, 0.6),
            unevenness=float(np.clip(around(0.4, 0.4), 0, 1.2)),
            ambient=float(np.clip(0.85 + 0.15 * rng.uniform(-1, 1), 0, 1)),
            veil_strength=around(0.38, 0.5),
            airlight=airlight,
            airlight_gain=around(1.0, 0.08),
            noise_sigma=float(rng.uniform(0, 4) * (rng.random() < 0.6)))


def veil_extinction(rate_mm_h: float) -> float:
    """Return the extinction of rain in 1/m at a rain rate R in mm/hr: 0.312 R^0.67 per km."""
    return 0.312e-3 * rate_mm_h ** 0.67


def sample_rate(rng: np.random.Generator) -> float:
    """
    Draw a rain rate for training, mm/hr on 0..300.

    8 % are dry, half of the rest uniform over 0..300 (heavy rain is where the network has most
    to do), half log-uniform over 5..300 (light rain is where people drive most).

    :param rng: generator that the rate is drawn from.
    """
    kind = rng.random()
    if kind < _DRY:
        return 0.0
    if kind < _DRY + (1 - _DRY) / 2:
        return float(rng.uniform(0, MAX_RATE_MM_H))
    return log_uniform(rng, 5, MAX_RATE_MM_H)
