# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cars, vans and buses: a side profile drawn out over the width, with painted faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, sin
from typing import NamedTuple

import cv2
import numpy as np

from ubcn_ros.data.drive.noise import noise_patch
from ubcn_ros.data.drive.render import Label, Quad, Texture
from ubcn_ros.data.drive.surfaces import Light

CAR = int(Label.CAR)
_SCALE = 56  # texture pixels per metre
_COLORS = ((176, 178, 180), (120, 124, 128), (30, 32, 36), (226, 226, 224), (150, 26, 30),
           (34, 52, 104), (58, 66, 78), (46, 74, 60), (200, 188, 150), (90, 110, 150))


@dataclass(frozen=True)
class Shape:
    """Lengths in metres; ``top`` is the profile (from the rear, height) above the belt line."""

    length: float
    width: float
    belt: float
    top: tuple[tuple[float, float], ...]
    nose: float
    taper: float
    wheel: float
    windows: int


SHAPES = {
    'hatch': Shape(3.9, 1.68, 0.92, ((0.05, 0.92), (0.45, 1.42), (1.9, 1.48), (2.85, 0.95)),
                   0.72, 0.8, 0.30, 2),
    'saloon': Shape(4.5, 1.75, 0.92, ((0.75, 0.95), (1.35, 1.38), (2.35, 1.42), (3.3, 0.94)),
                    0.70, 0.78, 0.31, 2),
    'estate': Shape(4.6, 1.78, 0.98, ((0.03, 0.98), (0.25, 1.5), (2.5, 1.56), (3.35, 1.0)),
                    0.78, 0.82, 0.33, 3),
    'van': Shape(4.9, 1.95, 1.25, ((0.0, 1.25), (0.05, 2.15), (3.6, 2.2), (4.25, 1.3)),
                 0.9, 0.92, 0.35, 1),
    'bus': Shape(10.5, 2.5, 1.2, ((0.0, 1.2), (0.05, 3.0), (10.35, 3.0), (10.5, 1.2)),
                 1.1, 0.98, 0.48, 8),
    'tall_bus': Shape(10.5, 2.5, 1.2, ((0.0, 1.2), (0.05, 4.3), (10.35, 4.3), (10.5, 1.2)),
                      1.1, 0.98, 0.48, 9),
}


class Vehicle:
    """
    One painted vehicle that can be placed anywhere.

    :param rng: draws the colour and the details.
    :param kind: a name in :data:`SHAPES`.
    :param light: the drive's light.
    """

    def __init__(self, rng: np.random.Generator, kind: str, light: Light):
        self.shape, self.light = SHAPES[kind], light
        color = np.array(_COLORS[rng.integers(len(_COLORS))], np.float32)
        if kind == 'van' and rng.random() < 0.6:
            color = np.array((228, 228, 226), np.float32)
        elif 'bus' in kind:
            color = np.array(((176, 24, 28), (230, 226, 214), (30, 90, 150))[rng.integers(3)])
        self.color = np.clip(color * rng.uniform(0.85, 1.1), 8, 240)
        lower, upper = self._below_belt(rng), self._above_belt(rng)
        self.side = {1: (Texture(upper), Texture(lower)),
                     -1: (Texture(np.ascontiguousarray(upper[:, ::-1])),
                          Texture(np.ascontiguousarray(lower[:, ::-1])))}
        self.front = Texture(self._end(rng, True))
        self.rear = Texture(self._end(rng, False))
        self.glass = Texture(self._glass(rng))
        self.panel = Texture(self._panel())
        soft = np.zeros((48, 96), np.float32)
        soft[10:38, 12:84] = 255
        soft = cv2.GaussianBlur(soft, (0, 0), 5) * 0.72
        self.shadow = Texture(np.dstack([np.full((48, 96, 3), 8), soft]).astype(np.uint8))

    def _tone(self, rgb) -> np.ndarray:
        return np.clip(np.asarray(rgb, np.float32) * self.light.base, 0, 255)

    def _below_belt(self, rng) -> np.ndarray:
        s, k = self.shape, _SCALE
        w, belt = int(s.length * k), int(s.belt * k)
        lower = np.zeros((belt, w, 4), np.float32)
        profile = np.linspace(1.12, 0.62, belt)[:, None, None]
        lower[..., :3] = self._tone(self.color) * profile
        ridge = int(0.2 * belt)
        lower[ridge:ridge + 3, :, :3] *= 1.3
        lower[:3, :, :3] *= 0.7
        sill = int((s.belt - 0.22) * k)
        outline = np.array([[2, 0], [int((s.length - 1.0) * k), 0],
                            [w - 8, int((s.belt - s.nose) * k)], [w - 1, int(0.55 * belt)],
                            [w - 4, sill], [3, sill], [0, int(0.5 * belt)]], np.int32)
        if s.top[-1][0] > s.length - 0.5:
            outline[1, 0] = w - 2
        alpha = np.zeros((belt, w), np.uint8)
        cv2.fillPoly(alpha, [outline], 255)
        lower[..., 3] = alpha
        for i in range(1, s.windows + 1):
            x = int((s.top[0][0] + i * (s.top[-1][0] - s.top[0][0]) / (s.windows + 0.6)) * k)
            lower[4:sill - 6, x:x + 2, :3] *= 0.55
            lower[ridge + 8:ridge + 12, x + 6:x + 18, :3] *= 0.7
        axle = (0.18 * s.length, 0.81 * s.length)
        for x in axle:
            center = (int(x * k), int((s.belt - s.wheel) * k))
            cv2.circle(lower, center, int((s.wheel + 0.07) * k), (9, 9, 10, 255), -1)
            cv2.circle(lower, center, int(s.wheel * k), (24, 24, 26, 255), -1)
            hub = self._tone((150, 152, 154) if rng.random() < 0.7 else (50, 50, 52)).tolist()
            cv2.circle(lower, center, int(s.wheel * 0.62 * k), (*hub, 255), -1)
            for spoke in range(5):
                a = spoke * 1.257
                cv2.line(lower, center, (int(center[0] + s.wheel * .55 * k * cos(a)),
                                         int(center[1] + s.wheel * .55 * k * sin(a))),
                         (40, 40, 42, 255), 2)
        cv2.rectangle(lower, (w - 16, int((s.belt - s.nose) * k) + 3), (w - 5, int(.45 * belt)),
                      (*self._tone((225, 225, 215)).tolist(), 255), -1)
        cv2.rectangle(lower, (2, int(.18 * belt)), (8, int(.42 * belt)),
                      (*self._tone((190, 26, 26)).tolist(), 255), -1)
        return lower.clip(0, 255).astype(np.uint8)

    def _above_belt(self, rng) -> np.ndarray:
        s, k = self.shape, _SCALE
        high = max(h for _, h in s.top)
        w, roof = int(s.length * k), int((high - s.belt) * k)
        upper = np.zeros((max(roof, 4), w, 4), np.float32)
        points = np.array([[x * k, (high - h) * k] for x, h in s.top], np.float32)
        points[0, 1] = points[-1, 1] = upper.shape[0]
        cv2.fillPoly(upper, [points.astype(np.int32)], (*self._tone(self.color).tolist(), 255))
        middle = points.mean(0)
        inner = middle + (points - middle) * (0.88, 0.8)
        inner[[0, -1], 1] = upper.shape[0] - 3
        mask = np.zeros(upper.shape[:2], np.uint8)
        cv2.fillPoly(mask, [inner.astype(np.int32)], 255)
        if s.windows == 1:
            mask[:, : int(0.6 * w)] = 0
        if s.top[1][1] > 4:  # a second deck
            mask[int(0.42 * roof):int(0.58 * roof)] = 0
        pane = np.linspace(0.95, 0.3, upper.shape[0])[:, None, None] * np.array((120, 136, 148))
        pane = self._tone(pane + 14 * noise_patch(rng, upper.shape[0], w, 1.6)[..., None])
        upper[mask > 0, :3] = pane[mask > 0]
        left, right = inner[:, 0].min(), inner[:, 0].max()
        for i in range(1, s.windows):
            x = int(left + i * (right - left) / s.windows)
            upper[3:, x - 3:x + 3, :3] = self._tone(self.color * 0.4)
        return upper.clip(0, 255).astype(np.uint8)

    def _end(self, rng, front: bool) -> np.ndarray:
        s, k = self.shape, _SCALE
        height = self._nose if front else s.belt
        h, w = int(height * k), int(s.width * k)
        end = np.zeros((h, w, 4), np.float32)
        sill = h - int(0.2 * k)
        end[:sill, :, :3] = self._tone(self.color) * np.linspace(1.05, .7, sill)[:, None, None]
        end[:sill, :, 3] = 255
        tyre = int(0.2 * k)
        end[sill:, int(.05 * w):int(.05 * w) + tyre] = (16, 16, 17, 255)
        end[sill:, w - int(.05 * w) - tyre:w - int(.05 * w)] = (16, 16, 17, 255)
        end[sill:int(sill + .1 * k), :, :] = (10, 10, 11, 255)
        bumper = int(0.62 * h)
        end[bumper:bumper + 2, :, :3] *= 0.5
        y0, y1 = int(0.14 * h), int(0.42 * h)
        lamp = self._tone((240, 240, 228) if front else (196, 22, 24)).tolist()
        if front and rng.random() < 0.3 or self.light.lit > 0.3:
            lamp = (255, 246, 220) if front else (255, 40, 36)
        reach = int((0.2 if front else 0.13) * w)
        for x in (int(0.03 * w), w - int(0.03 * w) - reach):
            end[y0:y1, x:x + reach] = (*lamp, 255)
            end[y0:y0 + 2, x:x + reach, :3] *= 0.6
        if front:
            end[y0 + 4:y1, int(.3 * w):int(.7 * w), :3] = self._tone((26, 26, 28))
            end[y0 + 7:y1:5, int(.3 * w):int(.7 * w), :3] = self._tone((90, 90, 92))
            end[bumper + 8:bumper + 16, int(.2 * w):int(.8 * w), :3] = self._tone((24, 24, 26))
        plate = self._tone((228, 226, 214) if front else (232, 200, 60))
        a, b = int(.36 * w), int(.64 * w)
        y = bumper + 3 if front else int(0.45 * h)
        end[y:y + 7, a:b, :3] = plate
        end[y + 2:y + 5, a + 3:b - 3:4, :3] *= 0.3
        end[..., 3][:4, :4] = end[..., 3][:4, -4:] = 0
        return end.clip(0, 255).astype(np.uint8)

    def _glass(self, rng) -> np.ndarray:
        h, w = 48, 96
        sky = np.linspace(0.35, 1.0, h)[::int(rng.choice([-1, 1])), None, None]
        glass = np.array((118, 134, 146)) * sky + 12 * noise_patch(rng, h, w, 1.5)[..., None]
        glass[20:44, 14:36] *= 0.55
        glass[20:44, 60:82] *= 0.55
        glass[:3] = glass[-2:] = self.color * 0.6
        glass[:, :4] = glass[:, -4:] = self.color * 0.75
        return self._tone(glass).astype(np.uint8)

    def _panel(self) -> np.ndarray:
        shine = np.linspace(1.2, 0.95, 24)[:, None, None] * np.ones((24, 32, 1))
        shine[:, 14:18] *= 1.08
        return self._tone(self.color * shine).astype(np.uint8)

    def place(self, x: float, z: float, heading: float) -> tuple[list[Quad], Quad]:
        """Return the vehicle's faces and its shadow, centred at (x, z); heading 0 is along +z."""
        pose = _Pose(x, z, cos(heading), sin(heading), self.light)
        quads = [*self._flanks(pose), *self._above(pose), *self._ends(pose)]
        for quad in quads:
            quad.max_m = 45.0 if quad.texture is self.panel else 140.0
        wide, long = self.shape.width / 2 * 1.35, self.shape.length / 2 * 1.32
        shadow = Quad(self.shadow, pose.point(-wide, 0, long), pose.vector(0, 0, -2 * long),
                      pose.vector(2 * wide, 0, 0), None, two_sided=True, max_m=60.0)
        return quads, shadow

    @property
    def _nose(self) -> float:
        """Height of the front: that of the bonnet, or of the belt line where there is none."""
        s = self.shape
        return s.nose if s.top[-1][0] < s.length - 0.4 else s.belt

    def _flanks(self, pose: _Pose) -> Iterator[Quad]:
        s = self.shape
        flank, tail, high = s.width / 2, -s.length / 2, max(h for _, h in s.top)
        inset = flank * (1 - s.taper)
        for side in (1, -1):
            upper, lower = self.side[side]
            g = pose.gain(side, 0, 0) + 0.08
            start = tail if side > 0 else -tail
            yield Quad(lower, pose.point(side * flank, s.belt, start),
                       pose.vector(0, 0, side * s.length), pose.vector(0, -s.belt, 0), CAR, g)
            yield Quad(upper, pose.point(side * (flank - inset), high, start),
                       pose.vector(0, 0, side * s.length),
                       pose.vector(side * inset, s.belt - high, 0), CAR, g)

    def _above(self, pose: _Pose) -> Iterator[Quad]:
        """Yield windscreen, rear window, roof, bonnet and boot."""
        s = self.shape
        flank, tail, narrow = s.width / 2, -s.length / 2, s.taper
        rear_base, rear_top, roof_front, base = s.top
        trim = (((1 - narrow) / 2, 0.0), ((1 + narrow) / 2, 0.0), (1.0, 1.0), (0.0, 1.0))
        forward, backward, top = pose.gain(0, 0, 1), pose.gain(0, 0, -1), pose.gain(0, 1, 0)
        yield Quad(self.glass, pose.point(flank, roof_front[1], tail + roof_front[0]),
                   pose.vector(-s.width, 0, 0),
                   pose.vector(0, base[1] - roof_front[1], base[0] - roof_front[0]), CAR,
                   (forward + top) / 2, trim)
        yield Quad(self.glass if s.windows > 1 else self.panel,
                   pose.point(-flank, rear_top[1], tail + rear_top[0]),
                   pose.vector(s.width, 0, 0),
                   pose.vector(0, rear_base[1] - rear_top[1], rear_base[0] - rear_top[0]),
                   CAR, (backward + top) / 2, trim)
        yield Quad(self.panel, pose.point(flank * narrow, rear_top[1], tail + rear_top[0]),
                   pose.vector(-s.width * narrow, 0, 0),
                   pose.vector(0, roof_front[1] - rear_top[1], roof_front[0] - rear_top[0]),
                   CAR, top)
        if base[0] < s.length - 0.1:
            yield Quad(self.panel, pose.point(flank, base[1], tail + base[0]),
                       pose.vector(-s.width, 0, 0),
                       pose.vector(0, self._nose - base[1], s.length - base[0] - 0.05), CAR, top)
        if rear_base[0] > 0.2:
            yield Quad(self.panel, pose.point(-flank, rear_base[1], tail + rear_base[0]),
                       pose.vector(s.width, 0, 0),
                       pose.vector(0, s.belt - rear_base[1], -rear_base[0]), CAR, top)

    def _ends(self, pose: _Pose) -> Iterator[Quad]:
        s = self.shape
        flank, tail, nose = s.width / 2, -s.length / 2, self._nose
        yield Quad(self.front, pose.point(flank, nose, -tail - 0.02),
                   pose.vector(-s.width, 0, 0), pose.vector(0, -nose, 0), CAR,
                   pose.gain(0, 0, 1))
        yield Quad(self.rear, pose.point(-flank, s.belt, tail + 0.02),
                   pose.vector(s.width, 0, 0), pose.vector(0, -s.belt, 0), CAR,
                   pose.gain(0, 0, -1))


class _Pose(NamedTuple):
    """Where a vehicle is and heads; all else is across to the right, up and along it."""

    x: float
    z: float
    cos: float
    sin: float
    light: Light

    def point(self, across: float, up: float, along: float) -> tuple[float, float, float]:
        return (self.x + along * self.sin + across * self.cos, -up,
                self.z + along * self.cos - across * self.sin)

    def vector(self, across: float, up: float, along: float) -> tuple[float, float, float]:
        return (along * self.sin + across * self.cos, -up, along * self.cos - across * self.sin)

    def gain(self, across: float, up: float, along: float) -> float:
        return self.light.gain(self.vector(across, up, along)) / self.light.base
