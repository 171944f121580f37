# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures (RGBA uint8) of what is round or soft: trees, pedestrians and cyclists."""

from __future__ import annotations

from math import cos, pi, sin

import cv2
import numpy as np

from ubcn_ros.data.drive.noise import noise_patch

_LEAVES = {
    'summer': ((66, 92, 40), (78, 104, 48), (52, 78, 40)),
    'dark': ((44, 62, 36), (38, 54, 34), (54, 70, 42)),
    'autumn': ((140, 98, 42), (122, 84, 40), (104, 96, 44)),
}
_SKIN = ((224, 182, 154), (196, 150, 120), (140, 98, 72), (92, 64, 48))


def tree(rng: np.random.Generator, kind: str, gain: float) -> np.ndarray:
    """
    Return a tree, (320, 256, 4) uint8.

    :param kind: 'summer', 'dark', 'autumn', 'bare' or 'conifer'.
    :param gain: brightness, 1 in daylight.
    """
    h, w = 320, 256
    bark = np.array((84, 72, 58)) * rng.uniform(0.6, 1.1) * gain
    picture = np.zeros((h, w, 4), np.uint8)
    ink = (*bark.astype(int).tolist(), 255)
    crown = h * rng.uniform(0.55, 0.75)
    if kind == 'conifer':
        cv2.line(picture, (w // 2, h), (w // 2, 40), ink, 8)
        y, x = np.mgrid[0:h, 0:w]
        reach = (y - 8) * rng.uniform(0.26, 0.4) * (0.75 + 0.25 * np.sin(y / rng.uniform(6, 12)))
        shape = (reach - np.abs(x - w / 2)) / 14
        shape[int(h * 0.93):] = -9
        return _leaves(rng, picture, shape, _LEAVES['dark'], gain)
    if kind == 'bare':
        return _bare(rng, h, w, ink)
    _branches(rng, picture, (w / 2, float(h)), -pi / 2, 0.9 * (h - crown), rng.uniform(8, 13), 4,
              ink)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    shape = np.full((h, w), -9, np.float32)
    for _ in range(rng.integers(9, 16)):
        angle, r = rng.uniform(0, 2 * pi), rng.uniform(0, 0.75) ** 0.7
        cx, cy = w / 2 + r * 88 * cos(angle), crown * 0.5 + r * 0.38 * crown * sin(angle)
        size = rng.uniform(26, 48)
        shape = np.maximum(shape, 2.2 * (1 - np.hypot((x - cx) / size, (y - cy) / size)))
    return _leaves(rng, picture, shape, _LEAVES[kind], gain)


def _leaves(rng, picture, shape, palette, gain):
    h, w = shape.shape
    fine, coarse = noise_patch(rng, h, w, 0.55), noise_patch(rng, h, w, 1.4)
    inside = shape + 0.5 * fine * 0.8 + 0.25 * coarse > 0.25
    color = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.75, 1.25)
    lit = shape - np.roll(shape, (10, int(rng.choice([-8, 8]))), (0, 1))
    tone = 1 + 0.24 * fine + 0.28 * coarse + 0.6 * lit.clip(-0.6, 0.6)
    tone *= np.linspace(1.2, 0.7, h)[:, None]
    picture[inside, :3] = (color * tone[inside][:, None] * gain).clip(0, 255)
    picture[inside, 3] = 255
    return picture


def _bare(rng, h, w, ink):
    """Draw branches without leaves, grown on a large sheet and then cut to fit, none cut off."""
    sheet = np.zeros((3 * h, 4 * w, 4), np.uint8)
    middle = 2 * w
    _branches(rng, sheet, (middle, 3.0 * h), -pi / 2, rng.uniform(80, 130), rng.uniform(12, 18),
              7, ink)
    twigs = noise_patch(rng, *sheet.shape[:2], 0.4) > 1.25
    x, y, wide, high = cv2.boundingRect(np.ascontiguousarray(sheet[..., 3]))
    far = 28  # the blur reaches 27 pixels
    x0, y0 = max(x - far, 0), max(y - far, 0)
    part = sheet[y0:y + high + far, x0:x + wide + far]
    near = cv2.GaussianBlur(np.ascontiguousarray(part[..., 3]), (0, 0), 9) > 50
    near[max(3 * h - 90 - y0, 0):] = False
    part[twigs[y0:y + high + far, x0:x + wide + far] & near] = ink
    reach = int(np.abs(x0 + np.flatnonzero(part[..., 3].any(0)) - middle).max()) + 2
    top = y0 + int(np.argmax(part[..., 3].any(1)))
    reach = min(max(reach, int(0.3 * (3 * h - top))), middle)
    return cv2.resize(np.ascontiguousarray(sheet[top:, middle - reach:middle + reach]), (w, h),
                      interpolation=cv2.INTER_AREA)


def _branches(rng, picture, start, angle, length, thick, depth, ink):
    end = (start[0] + length * cos(angle), start[1] + length * sin(angle))
    scale = 8
    cv2.line(picture, tuple(int(v * scale) for v in start), tuple(int(v * scale) for v in end),
             ink, max(int(thick), 1), cv2.LINE_AA, 3)
    if depth > 0:
        for _ in range(int(rng.integers(2, 4))):
            _branches(rng, picture, end, angle * 0.96 - 0.04 * pi / 2 + rng.normal(0, 0.5),
                      length * rng.uniform(0.5, 0.8), thick * 0.62, depth - 1, ink)


def _limb(picture, points, color, thick):
    points = np.array(points) * 8
    cv2.polylines(picture, [points.astype(np.int32)], False, color, max(int(thick), 1),
                  cv2.LINE_AA, 3)


def _shade(rng, picture, gain):
    tone = 1 + 0.12 * noise_patch(rng, *picture.shape[:2], 1.3)
    tone *= np.linspace(1.15, 0.8, picture.shape[1])[None, ::int(rng.choice([-1, 1]))]
    picture[..., :3] = (picture[..., :3] * cv2.merge([tone * gain] * 3)).clip(0, 255)
    return picture


def _cloth(rng) -> tuple:
    if rng.random() < 0.6:
        tone = rng.uniform(18, 80)
        return (*(tone + rng.uniform(-8, 12, 3)).astype(int).tolist(), 255)
    return (*rng.integers(30, 220, 3).tolist(), 255)


def pedestrian(seed: int, phase: float, walking: bool, gain: float) -> np.ndarray:
    """Return a person 1.0 high and 0.5 wide, (256, 128, 4) uint8; phase 0..1 is the stride."""
    rng = np.random.default_rng([seed, 21])
    picture = np.zeros((256, 128, 4), np.uint8)
    coat, legs = _cloth(rng), _cloth(rng)
    skin = (*_SKIN[rng.integers(4)], 255)
    hair = (*(np.array((52, 40, 30)) * rng.uniform(0.3, 3)).astype(int).tolist(), 255)
    wide = rng.uniform(17, 24)
    swing = (26 * sin(2 * pi * phase) if walking else rng.uniform(2, 9))
    knee = abs(swing) * 0.4
    x = 64
    for s in (swing, -swing):
        _limb(picture, [(x + s * 0.15, 132), (x + s * 0.55 + knee * 0.3, 188),
                        (x + s, 244)], legs, 15)
        _limb(picture, [(x + s - 3, 248), (x + s + 9, 248)], (28, 24, 24, 255), 9)
    hem = rng.choice([140, 150, 176])
    torso = np.array([[x - wide, 56], [x - wide * 0.4, 46], [x + wide * 0.4, 46], [x + wide, 56],
                      [x + wide * 0.9, hem], [x - wide * 0.9, hem]], np.int32)
    cv2.fillPoly(picture, [torso], coat, cv2.LINE_AA)
    arm = tuple(int(c * 0.8) for c in coat[:3]) + (255,)
    for s, sx in ((-swing, -1), (swing, 1)):
        _limb(picture, [(x + sx * (wide - 3), 60), (x + sx * (wide + 2) + s * 0.2, 98),
                        (x + sx * wide + s * 0.6, 130)], arm, 11)
        cv2.circle(picture, (int(x + sx * wide + s * 0.6), 134), 5, skin, -1, cv2.LINE_AA)
    if rng.random() < 0.4:  # a bag
        side = int(rng.choice([-1, 1]))
        cv2.rectangle(picture, (int(x + side * wide) - 9, 124), (int(x + side * wide) + 9, 158),
                      _cloth(rng), -1)
    cv2.rectangle(picture, (x - 6, 36), (x + 6, 50), skin, -1)
    cv2.ellipse(picture, (x, 25), (14, 18), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(picture, (x, 20), (16, 15), 0, 170 if rng.random() < 0.6 else 0, 370, hair, -1,
                cv2.LINE_AA)
    return _shade(rng, picture, gain)


def cyclist(seed: int, phase: float, view: str, gain: float) -> np.ndarray:
    """
    Return a rider and bicycle, uint8 RGBA; view 'side' (256, 256) heads right, 'end' (256, 96).

    Both are 1.75 m high; phase 0..1 is the turn of the pedals.
    """
    rng = np.random.default_rng([seed, 22])
    coat = (200, 230, 40, 255) if rng.random() < 0.25 else _cloth(rng)
    legs, skin = _cloth(rng), (*_SKIN[rng.integers(4)], 255)
    metal = (*rng.integers(20, 160, 3).tolist(), 255)
    tyre, helmet = (22, 22, 22, 255), _cloth(rng)
    turn = 2 * pi * phase
    if view == 'end':
        picture = np.zeros((256, 96, 4), np.uint8)
        x = 48
        cv2.line(picture, (x, 150), (x, 252), tyre, 8)
        cv2.line(picture, (x - 30, 128), (x + 30, 128), metal, 4)
        for s, side in ((sin(turn), -1), (-sin(turn), 1)):
            _limb(picture, [(x + side * 9, 132), (x + side * 16, 165 + 14 * s),
                            (x + side * 11, 212 + 20 * s)], legs, 14)
            _limb(picture, [(x + side * 22, 62), (x + side * 32, 96), (x + side * 29, 126)],
                  coat, 10)
        cv2.ellipse(picture, (x, 92), (25, 48), 0, 0, 360, coat, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, 26), (14, 19), 0, 0, 360, skin, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, 20), (16, 15), 0, 150, 390, helmet, -1, cv2.LINE_AA)
        return _shade(rng, picture, gain)
    picture = np.zeros((256, 256, 4), np.uint8)
    rear, front, pedal = (54, 204), (204, 204), (122, 206)
    for hub in (rear, front):
        cv2.circle(picture, hub, 47, tyre, 5, cv2.LINE_AA)
        for k in range(6):
            a = turn + k * pi / 3
            cv2.line(picture, hub, (int(hub[0] + 45 * cos(a)), int(hub[1] + 45 * sin(a))),
                     (110, 112, 112, 255), 1, cv2.LINE_AA)
    seat, bars = (98, 132), (182, 122)
    for a, b in ((rear, pedal), (pedal, (186, 142)), (rear, (100, 146)), ((100, 146), (186, 142)),
                 (pedal, seat), (front, bars)):
        cv2.line(picture, a, b, metal, 6, cv2.LINE_AA)
    for a in (turn + pi, turn):
        foot = (pedal[0] + 20 * cos(a), pedal[1] + 20 * sin(a))
        _limb(picture, [(100, 128), (146 + 8 * cos(a), 158 + 12 * sin(a)), foot], legs, 16)
        _limb(picture, [(foot[0] - 4, foot[1] + 6), (foot[0] + 12, foot[1] + 6)], tyre, 8)
    torso = np.array([[88, 128], [112, 134], [156, 74], [140, 52], [122, 56]], np.int32)
    cv2.fillPoly(picture, [torso], coat, cv2.LINE_AA)
    _limb(picture, [(144, 64), (160, 96), (182, 118)], tuple(int(c * .85) for c in coat[:3])
          + (255,), 12)
    cv2.ellipse(picture, (156, 32), (16, 19), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(picture, (154, 26), (19, 16), 0, 160, 380, helmet, -1, cv2.LINE_AA)
    return _shade(rng, picture, gain)
