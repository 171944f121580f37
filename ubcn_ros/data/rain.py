# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rain on an image or a video, parameterised by the rain rate in mm/hr.

Drops follow Marshall and Palmer, streaks what a moving camera's pinhole and shutter make of them
(``rain_streaks``), and what is too thin for a streak of its own becomes a veil that grows with
distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ubcn_ros.data.depth_prior import depth_prior
from ubcn_ros.data.rain_streaks import Camera, DropField, draw_streaks

__all__ = ['MAX_RATE_MM_H', 'RainParameters', 'RainRenderer', 'add_rain', 'estimate_airlight',
           'sample_rate', 'veil_extinction']

MAX_RATE_MM_H = 300.0


@dataclass(frozen=True)
class RainParameters:
    """
    Everything that decides what rain looks like, except the seed.

    The defaults of streak_gain and veil_strength are not physical: they were chosen so that CamVid
    val without depth has an input PSNR of about 26, 20, 18 dB at 50, 150, 250 mm/hr (with
    streak_gain 1 it is 7 dB less).

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
    # distances between which drops are drawn one by one
    near_m: float = 0.35
    far_m: float = 6.0
    # smallest drop drawn
    smallest_mm: float = 1.0
    # thinnest streak drawn; what is thinner belongs to the veil
    thinnest_px: float = 0.3
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
        if not 0.12 < self.near_m < self.far_m:
            raise ValueError(f'near_m is {self.near_m} and far_m {self.far_m}, must be '
                             '0.12 < near_m < far_m')
        if not 0 <= self.ambient <= 1:
            raise ValueError(f'ambient is {self.ambient}, must be 0..1')
        for name in ('focal', 'thinnest_px', 'smallest_mm', 'width_gain'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} is {getattr(self, name)}, must be above 0')
        for name in ('density_gain', 'streak_gain', 'brightness_gain', 'aperture_mm',
                     'unevenness', 'veil_strength', 'airlight_gain', 'noise_sigma',
                     'turbulence_m_s'):
            if not getattr(self, name) >= 0:
                raise ValueError(f'{name} is {getattr(self, name)}, must not be negative')

    @classmethod
    def physical(cls, rate_mm_h: float, **overrides) -> RainParameters:
        """
        Return the defaults of the physical model at a rain rate.

        :param rate_mm_h: 0..300 mm/hr.
        :param overrides: values that replace the defaults, by name.
        """
        return replace(cls(rate_mm_h), **overrides)

    @classmethod
    def random(cls, rng: np.random.Generator, rate_mm_h: float, physical: bool = False
               ) -> RainParameters:
        """
        Draw parameters for training.

        :param rng: generator that everything is drawn from.
        :param rate_mm_h: rain rate, 0..300 mm/hr.
        :param physical: vary only what differs between real drives: speed 0..12 m/s, wind +-4 m/s,
            exposure 6..16 ms. False lets the appearance spread beyond the physical defaults.
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


def estimate_airlight(image: np.ndarray) -> np.ndarray:
    """
    Estimate the radiance of the bright sky.

    It is the mean of the brightest twentieth, half desaturated: an overcast sky is nearly grey.

    :param image: (H, W, 3) uint8 RGB, better a whole frame than a crop that may hold no sky.
    :return: (3,) float32 RGB, 0.35..1.
    """
    small = image[::4, ::4].reshape(-1, 3).astype(np.float32)
    luminance = small @ np.array([0.299, 0.587, 0.114], np.float32)
    count = max(1, len(small) // 20)
    top = small[np.argpartition(luminance, -count)[-count:]].mean(0) / 255
    return np.clip(0.5 * top + 0.5 * top.mean(), 0.35, 1.0).astype(np.float32)


class RainRenderer:
    """
    Rain in front of one camera, continuous over time.

    Calls are independent of each other: the result depends on the image, depth and time alone,
    so frames can be rendered in any order.

    :param parameters: what the rain looks like.
    :param height, width: of the images, pixels.
    :param seed: of the drops and the noise.
    :param window: (top, left, frame height, frame width) where the images are crops of a larger
        frame: drops, vanishing point and prior are those of that frame at that place.
    :raises ValueError: an empty image, or a window that does not hold it.
    """

    def __init__(self, parameters: RainParameters, height: int, width: int, seed: int,
                 window: tuple[int, int, int, int] | None = None):
        if height < 1 or width < 1:
            raise ValueError(f'image size is {height}x{width}, must be at least 1x1')
        top, left, frame_height, frame_width = window or (0, 0, height, width)
        if not (0 <= top <= frame_height - height and 0 <= left <= frame_width - width):
            raise ValueError(f'window {window} does not hold a crop of {height}x{width}; give '
                             '(top, left, frame height, frame width)')
        p = self.parameters = parameters
        self.height, self.width, self.seed = height, width, seed
        self._window = (top, left, frame_height, frame_width)
        focal = p.focal * frame_width
        self._camera = Camera(focal, frame_width / 2 - left, p.horizon * frame_height - top,
                              width, height)
        self._thinnest = p.thinnest_px / (focal * 1e-3 * p.width_gain)  # mm per metre
        self._prior_veil = None
        self._field = None
        if p.rate_mm_h > 0 and p.density_gain > 0:
            # A camera that rolls sees the fall at an angle; a 2 mm drop falls at 6.5 m/s.
            sideways = p.wind_m_s[0] + 6.5 * float(np.tan(np.deg2rad(p.roll_deg)))
            self._field = DropField.sample(
                np.random.default_rng(seed), p.rate_mm_h, near_m=p.near_m, far_m=p.far_m,
                slopes=(frame_width / 2 / focal, p.horizon * frame_height / focal,
                        (1 - p.horizon) * frame_height / focal),
                margin_m=p.exposure_s * max(10.0, abs(sideways)),
                drift=(sideways, p.wind_m_s[1] - p.speed_m_s),
                thinnest_mm_m=self._thinnest, smallest_mm=p.smallest_mm,
                density_gain=p.density_gain, turbulence=p.turbulence_m_s,
                unevenness=p.unevenness)

    def __call__(self, image: np.ndarray, depth: np.ndarray | None = None, time_s: float = 0.0
                 ) -> np.ndarray:
        """
        Render the rain at a time.

        :param image: (height, width, 3) uint8 RGB.
        :param depth: (height, width) metres, far where not finite or not positive; None for the
            prior.
        :param time_s: seconds since the field's start.
        :return: the rainy image, (height, width, 3) uint8 RGB.
        :raises ValueError: an image or depth of another size or type.
        """
        p = self.parameters
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise ValueError(f'image is {image.shape} {image.dtype}, this renderer takes '
                             f'({self.height}, {self.width}, 3) uint8')
        if p.rate_mm_h == 0:
            return image.copy()
        airlight = np.asarray(p.airlight, np.float32) if p.airlight is not None else (
            estimate_airlight(image))
        veil, cover = self._veil(depth), self.thickness(time_s)
        if cover is not None:  # the share of a pixel that drops cover
            np.negative(np.expm1(np.negative(cover, cover), cover), cover)
        noise = None
        if p.noise_sigma:
            key = [self.seed, 1, int(round(time_s * 1e6)) & 0xffffffff]
            noise = np.random.default_rng(key).standard_normal((3, *veil.shape), np.float32)
        planes = []
        for channel in range(3):  # planes: numpy is slow where the last axis is three long
            scene = image[..., channel].astype(np.float32)
            haze = np.float32(min(255 * p.airlight_gain * airlight[channel], 255))
            scene += veil * (haze - scene)
            if cover is not None:
                light = np.float32(p.ambient * 255 * airlight[channel])
                drops = _surroundings(scene)
                drops *= np.float32(p.brightness_gain * (1 - p.ambient))
                drops += np.float32(p.brightness_gain) * light
                drops -= scene
                drops *= cover
                scene += drops
            if noise is not None:
                scene += np.float32(p.noise_sigma) * noise[channel]
            scene += 0.5
            planes.append(np.clip(scene, 0, 255, out=scene).astype(np.uint8))
        return cv2.merge(planes)

    def thickness(self, time_s: float = 0.0) -> np.ndarray | None:
        """Return the streaks' optical thickness, (H, W) float32, 0 or more; None without drops."""
        p = self.parameters
        return None if self._field is None else draw_streaks(
            self._field, self._camera, time_s, p.exposure_s, thinnest_mm_m=self._thinnest,
            width_gain=p.width_gain, aperture_mm=p.aperture_mm, gain=p.streak_gain)

    def _veil(self, depth: np.ndarray | None) -> np.ndarray:
        """Share of airlight at every pixel, (H, W) float32 on 0..1."""
        p = self.parameters
        beta = p.veil_strength * veil_extinction(p.rate_mm_h)
        if depth is None:
            if self._prior_veil is None:
                top, left, frame_height, frame_width = self._window
                prior = depth_prior(frame_height, frame_width, horizon=p.horizon, focal=p.focal)
                prior = prior[top:top + self.height, left:left + self.width]
                self._prior_veil = -np.expm1(-beta * prior)
            return self._prior_veil
        if depth.shape != (self.height, self.width):
            raise ValueError(f'depth is {depth.shape}, expected {(self.height, self.width)}')
        known = np.isfinite(depth) & (depth > 0)
        distance = np.where(known, depth, 1e4).astype(np.float32)
        return -np.expm1(-beta * distance)


def _surroundings(scene: np.ndarray) -> np.ndarray:
    """Mean radiance around every pixel, (H, W) float32: a drop sees nearly everything."""
    height, width = scene.shape[:2]
    small = cv2.resize(scene, (max(1, width // 16), max(1, height // 16)),
                       interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(1.0, small.shape[1] / 12))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def add_rain(image: np.ndarray, rate_mm_h: float, seed: int, depth: np.ndarray | None = None,
             parameters: RainParameters | None = None,
             window: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """
    Render rain on one frame, the same for the same arguments.

    :param image: (H, W, 3) uint8 RGB.
    :param rate_mm_h: rain rate, 0..300 mm/hr; 0 returns the image unchanged.
    :param seed: of the drops, the noise and, where none are given, the parameters.
    :param depth: (H, W) metres, as for ``RainRenderer``.
    :param parameters: what the rain looks like, but for its rate; None draws those of a drive
        (``RainParameters.random``, physical).
    :param window: for crops, as for ``RainRenderer``.
    :return: the rainy frame, (H, W, 3) uint8 RGB.
    :raises ValueError: a rate out of range, or an image or depth of another size or type.
    """
    if parameters is None:
        rng = np.random.default_rng([seed, 2])
        parameters = RainParameters.random(rng, rate_mm_h, physical=True)
    elif parameters.rate_mm_h != rate_mm_h:
        parameters = replace(parameters, rate_mm_h=rate_mm_h)
    if rate_mm_h == 0:
        return image.copy()
    return RainRenderer(parameters, *image.shape[:2], seed, window=window)(image, depth)


def sample_rate(rng: np.random.Generator, zeros: float = 0.08) -> float:
    """
    Draw a rain rate for training, mm/hr on 0..300.

    A share is dry, half of the rest uniform over 0..300 (heavy rain is where the network has most
    to do), half log-uniform over 5..300 (light rain is where people drive most).

    :param rng: generator that the rate is drawn from.
    :param zeros: share of dry frames, 0..1.
    """
    kind = rng.random()
    if kind < zeros:
        return 0.0
    if kind < zeros + (1 - zeros) / 2:
        return float(rng.uniform(0, MAX_RATE_MM_H))
    return float(np.exp(rng.uniform(np.log(5), np.log(MAX_RATE_MM_H))))
