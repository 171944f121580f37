# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rain on an image or a video, parameterised by the rain rate in mm/hr.

Drops follow Marshall and Palmer, streaks what a moving camera's pinhole and shutter make of them
(``rain_streaks``), and what is too thin for a streak of its own becomes a veil that grows with
distance.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ubcn_ros.data.depth_prior import depth_prior
from ubcn_ros.data.drop_sizes import DropSizes
from ubcn_ros.data.image_checks import check_depth, far_where_unknown
from ubcn_ros.data.rain_parameters import RainParameters, veil_extinction
from ubcn_ros.data.rain_streaks import DropField, draw_streaks


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

    Calls are independent of each other: the result depends on the image, depth, time and rate
    alone, so frames can be rendered in any order.

    :param parameters: what the rain looks like.
    :param height, width: of the images, pixels.
    :param seed: of the drops and the noise.
    :raises ValueError: an empty image.
    """

    def __init__(self, parameters: RainParameters, height: int, width: int, seed: int):
        if height < 1 or width < 1:
            raise ValueError(f'image size is {height}x{width}, must be at least 1x1')
        self.parameters = p = parameters
        self.height, self.width, self.seed = height, width, seed
        self._prior = self._field = self._chance = None
        if p.rate_mm_h > 0 and p.density_gain > 0:
            self._field = DropField.sample(np.random.default_rng(seed), p, height, width)

    def __call__(self, image: np.ndarray, depth: np.ndarray | None = None, time_s: float = 0.0,
                 rate_mm_h: float | None = None) -> np.ndarray:
        """
        Render the rain at a time.

        :param image: (height, width, 3) uint8 RGB.
        :param depth: (height, width) metres, far where not finite or not positive; None for the
            prior.
        :param time_s: seconds since the field's start.
        :param rate_mm_h: rain rate at that time, 0 to the parameters' rate; None for theirs. A
            drop that is there at a rate is there at all higher ones.
        :return: the rainy image, (height, width, 3) uint8 RGB.
        :raises ValueError: an image or depth of another size or type, or a rate out of range.
        """
        p = self.parameters
        rate = p.rate_mm_h if rate_mm_h is None else rate_mm_h
        if not 0 <= rate <= p.rate_mm_h:
            raise ValueError(f'rate_mm_h is {rate}, this renderer takes 0..{p.rate_mm_h:g} mm/hr')
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise ValueError(f'image is {image.shape} {image.dtype}, this renderer takes '
                             f'({self.height}, {self.width}, 3) uint8')
        if rate == 0:
            return image.copy()
        airlight = np.asarray(p.airlight, np.float32) if p.airlight is not None else (
            estimate_airlight(image))
        veil, cover = self._veil(depth, rate), self.thickness(time_s, rate)
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

    def thickness(self, time_s: float = 0.0, rate_mm_h: float | None = None) -> np.ndarray | None:
        """
        Return the streaks' optical thickness, (H, W) float32, 0 or more; None without drops.

        :param time_s, rate_mm_h: as for a call.
        """
        if self._field is None or rate_mm_h == 0:
            return None
        return draw_streaks(self._field, self.parameters, self.height, self.width, time_s,
                            True if rate_mm_h is None else self._present(rate_mm_h))

    def _present(self, rate: float) -> np.ndarray | bool:
        """Which drops of the field there are at a rate above 0."""
        if rate == self.parameters.rate_mm_h:
            return True
        if self._chance is None:
            rng = np.random.default_rng([self.seed, 3])
            self._chance = rng.random(len(self._field.diameter), np.float32)
        return self._chance < DropSizes(rate).shares_of(DropSizes(self.parameters.rate_mm_h),
                                                        self._field.diameter)

    def _veil(self, depth: np.ndarray | None, rate: float) -> np.ndarray:
        """Share of airlight at every pixel, (H, W) float32 on 0..1."""
        p = self.parameters
        beta = np.float32(p.veil_strength * veil_extinction(rate))
        if depth is None:
            last = self._prior  # read once: threads may render at the same time
            if last is None or last[0] != rate:
                prior = depth_prior(self.height, self.width, horizon=p.horizon, focal=p.focal)
                self._prior = last = rate, -np.expm1(-beta * prior)
            return last[1]
        check_depth(depth, self.height, self.width)
        return -np.expm1(-beta * far_where_unknown(depth))


def _surroundings(scene: np.ndarray) -> np.ndarray:
    """Mean radiance around every pixel, (H, W) float32: a drop sees nearly everything."""
    height, width = scene.shape[:2]
    small = cv2.resize(scene, (max(1, width // 16), max(1, height // 16)),
                       interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(1.0, small.shape[1] / 12))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def add_rain(image: np.ndarray, rate_mm_h: float, seed: int, depth: np.ndarray | None = None,
             parameters: RainParameters | None = None) -> np.ndarray:
    """
    Render rain on one frame, the same for the same arguments.

    :param image: (H, W, 3) uint8 RGB.
    :param rate_mm_h: rain rate, 0..300 mm/hr; 0 returns the image unchanged.
    :param seed: of the drops, the noise and, where none are given, the parameters.
    :param depth: (H, W) metres, as for ``RainRenderer``.
    :param parameters: what the rain looks like, but for its rate; None draws those of a drive
        (``drive_parameters``).
    :return: the rainy frame, (H, W, 3) uint8 RGB.
    :raises ValueError: a rate out of range, or an image or depth of another size or type.
    """
    if parameters is None:
        parameters = drive_parameters(seed, rate_mm_h)
    elif parameters.rate_mm_h != rate_mm_h:
        parameters = replace(parameters, rate_mm_h=rate_mm_h)
    if rate_mm_h == 0:
        return image.copy()
    return RainRenderer(parameters, *image.shape[:2], seed)(image, depth)


def drive_parameters(seed: int, rate_mm_h: float) -> RainParameters:
    """Draw the parameters of a drive: speed, wind and exposure, the same for the same seed."""
    return RainParameters.random(np.random.default_rng([seed, 2]), rate_mm_h, physical=True)
