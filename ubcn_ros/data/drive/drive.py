# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Procedural drives: a camera moving along a street, with exact labels and depth.

>>> drive = Drive(seed=3, height=90, width=160)
>>> frame = drive.frame(0.5)
>>> frame.image.shape, frame.labels.shape, frame.depth.dtype
((90, 160, 3), (90, 160), dtype('float32'))
"""

from __future__ import annotations

from collections.abc import Iterator
from math import atan, pi, sin

import cv2
import numpy as np

from ubcn_ros.data.drive.ground import CHUNK_M, Ground, draw_sky
from ubcn_ros.data.drive.render import FAR_M, Canvas, Label, PinholeCamera
from ubcn_ros.data.drive.style import draw_style
from ubcn_ros.data.drive.traffic import Traffic
from ubcn_ros.data.drive.world import World
from ubcn_ros.data.rain import RainRenderer
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.scenes import CleanFrame
from ubcn_ros.labels import LabelSet, paths_of

_SPEED_M_S = 8.0
_SEEN_CHUNKS = 5

LABEL_SET = LabelSet(
    'drive',
    ('Sky', 'Building', 'Pole', 'Road', 'Sidewalk', 'Tree', 'SignSymbol', 'Fence', 'Car',
     'Pedestrian', 'Bicyclist'),
    ((70, 130, 180), (70, 70, 70), (153, 153, 153), (128, 64, 128), (244, 35, 232),
     (107, 142, 35), (220, 220, 0), (190, 153, 153), (0, 0, 142), (220, 20, 60), (119, 11, 32)),
    paths_of(11, (0, 1, 3, 4, 5, 8)))
"""What a drive shows; ids as of ``render.Label``."""


class Drive:
    """
    A drive along a street that follows from its seed alone.

    Frames can be asked for in any order: a time always gives the same frame.

    :param seed: draws the street, the light, the traffic and the camera.
    :param height: of the image, 32 pixels or more.
    :param width: of the image, 32 pixels or more.
    :raises ValueError: seed or size out of range.
    """

    def __init__(self, seed: int, height: int, width: int):
        if height < 32 or width < 32:
            raise ValueError(f'image size {height}x{width} is too small: use 32x32 or more')
        if seed < 0:
            raise ValueError(f'seed is {seed}: use 0 or more')
        self.seed, self.height, self.width = seed, height, width
        self.style = style = draw_style(seed)
        self.world = World(seed, style)
        self.traffic = Traffic(self.world)
        self._ground = Ground(self.world.ground_map, style.center)
        self._start = float(self.world.rng(30).uniform(0, 2000))
        self._vignette = self._lens()
        ramp = np.linspace(0, 1, 256) ** style.gamma * 255
        self._curve = np.stack([ramp * t for t in style.tint], 1).clip(0, 255).astype(np.uint8)
        self._bonnet = self._own_bonnet() if style.bonnet else None
        self._grain = (self.world.rng(31).standard_normal((height + 64, width + 64, 3))
                       * style.noise).astype(np.float32)
        self._grain = cv2.GaussianBlur(self._grain, (0, 0), 0.6) * 1.6

    def camera(self, time_s: float) -> PinholeCamera:
        """Return the camera at this time (seconds)."""
        style = self.style
        z = self._start + _SPEED_M_S * time_s
        weave = 0.12 * sin(0.5 * time_s + self.seed)
        lane = style.lanes - 0.5 if style.lanes > 1 and self.seed % 2 else 0.5
        u = style.our_side * style.lane * lane + weave
        bounce = sin(5.1 * time_s) + 0.5 * sin(8.7 * time_s + 1)
        focal = style.focal * self.width
        pitch = np.arctan((style.horizon_at - 0.5) * self.height / focal) + 0.0012 * bounce
        position = np.array([style.center(z) + u, -style.camera_height - 0.006 * bounce, z])
        yaw = style.yaw + atan(style.slope(z + 3)) + 0.004 * sin(0.5 * time_s + self.seed + pi / 2)
        return PinholeCamera(self.height, self.width, focal, position, yaw, float(pitch),
                             style.roll + 0.002 * sin(1.3 * time_s))

    def frame(self, time_s: float) -> CleanFrame:
        """
        Render the frame at this time.

        :param time_s: seconds, may be negative.
        :return: labels are ids of LABEL_SET, and the depth of the sky is 1000 m.
        """
        image, labels, depth = self._picture(self.camera(time_s), time_s)
        if self._bonnet is not None:
            mask, picture = self._bonnet
            image[mask] = picture[mask]
            labels[mask] = Label.UNLABELED
            depth[mask] = 1.2
        return CleanFrame(self._develop(image, labels, depth, time_s), labels, depth)

    def _picture(self, camera: PinholeCamera, time_s: float
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw what there is before a camera: image, labels and depth."""
        style, world = self.style, self.world
        rays = camera.rays()
        image = np.zeros((self.height, self.width, 3), np.uint8)
        labels = np.zeros((self.height, self.width), np.uint8)
        inverse = np.full((self.height, self.width), 1 / FAR_M, np.float32)
        horizon = int((rays[1] < 0.004).any(1).sum())
        wind = 0.4 * time_s
        shift = world.rng(32).uniform(0, 512, 2) + (wind, 0)
        draw_sky(rays, min(horizon + 1, self.height), style.zenith, style.horizon, style.cloud,
                 style.cover, shift, image)
        self._ground.draw(camera, rays, image, labels, inverse)
        first = int(np.floor((camera.position[2] - 12) / CHUNK_M))
        quads, billboards, shadows = [], [], []
        for k in range(first, first + _SEEN_CHUNKS + 1):
            chunk = world.chunk(k)
            quads += chunk.quads
            billboards += chunk.billboards
            shadows += chunk.shadows
        self.traffic.add(time_s, float(camera.position[2]), quads, billboards, shadows)
        canvas = Canvas(camera, image, labels, inverse)
        canvas.draw_in_order(shadows)
        canvas.draw(quads, billboards)
        return image, labels, 1 / inverse

    def _develop(self, image, labels, depth, time_s) -> np.ndarray:
        """Apply haze, the lens and the sensor."""
        style = self.style
        clear = cv2.exp(depth * np.float32(-1 / style.haze_m))
        clear[labels == Label.SKY] = 1
        air = np.empty_like(image)
        air[:] = np.minimum(np.array(style.horizon) * 0.94, 255).astype(np.uint8)
        image = cv2.blendLinear(image, air, clear, 1 - clear)
        if style.blur > 0.25:
            image = cv2.GaussianBlur(image, (3, 3), style.blur)
        out = cv2.multiply(cv2.LUT(image, self._curve[None]), self._vignette, dtype=cv2.CV_32F)
        key = np.random.default_rng([self.seed, 33, round(time_s * 1000) % (1 << 32)])
        y, x = key.integers(0, 64, 2)
        out += self._grain[y:y + self.height, x:x + self.width]
        return cv2.convertScaleAbs(np.maximum(out, 0, out=out))

    def _lens(self) -> np.ndarray:
        y = np.linspace(-1, 1, self.height)[:, None]
        x = np.linspace(-1, 1, self.width)[None]
        fall = 1 - self.style.vignette * (x**2 + y**2) / 2
        return np.repeat(fall[..., None], 3, 2).astype(np.float32)

    def _own_bonnet(self) -> tuple[np.ndarray, np.ndarray]:
        h, w = self.height, self.width
        rng = self.world.rng(34)
        x = np.linspace(-1, 1, w)[None]
        y = np.arange(h)[:, None]
        edge = h * (1 - self.style.bonnet * (1 - 0.6 * (x - rng.uniform(-.3, .3)) ** 2))
        color = rng.uniform(10, 170) * np.array((1, 1, 1.06)) * self.style.light.base
        shine = ((y - edge) / (0.1 * h)).clip(0, 1)
        picture = (color * (1.5 - 0.9 * shine)[..., None]).clip(0, 255).astype(np.uint8)
        return y > edge, picture


def drive_clip(seed: int, frames: int, rate_hz: float, height: int, width: int,
               rain_mm_h: float) -> Iterator[np.ndarray]:
    """
    Yield consecutive images of a drive, (H, W, 3) uint8 RGB, in the rain if there is some.

    :param seed: of the drive and of the rain.
    :param frames: how many.
    :param rate_hz: images per second.
    :param height, width: of the images, 32 pixels or more.
    :param rain_mm_h: rain rate, mm/hr.
    """
    drive = Drive(seed, height, width)
    parameters = RainParameters(rain_mm_h, speed_m_s=_SPEED_M_S, focal=drive.style.focal,
                                horizon=drive.style.horizon_at)
    rain = RainRenderer(parameters, height, width, seed)
    for index in range(frames):
        time_s = index / rate_hz
        frame = drive.frame(time_s)
        yield rain(frame.image, frame.depth, time_s)
