# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Textures of what lines a street: facades, roofs, hedges, fences, walls and signs.

All but ``wall``, which gives float32, return uint8 pictures, RGB or RGBA.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubcn_ros.data.drive.noise import noise_patch

PIXELS_PER_METRE = 26
_WALLS = {
    'brick': ((138, 84, 62), (120, 70, 55), (158, 112, 80), (176, 148, 110), (108, 76, 66)),
    'plaster': ((214, 208, 196), (226, 222, 214), (200, 184, 150), (190, 196, 200),
                (222, 196, 170), (170, 186, 180)),
    'stone': ((168, 156, 134), (146, 138, 122), (186, 178, 158), (120, 112, 100)),
    'concrete': ((150, 150, 148), (128, 130, 132), (176, 174, 168)),
    'glass': ((84, 98, 110), (70, 84, 88), (110, 120, 128)),
}
# of walls that are laid in courses: height and length of a brick or stone, pixels, and how much
# their tones differ
_COURSES = {'brick': (3, 9, 0.07), 'stone': (13, 26, 0.06)}


@dataclass(frozen=True)
class Light:
    """
    How bright surfaces are: ambient and sun strength, and where the sun stands.

    ``sun`` points from the ground to the sun (x right, y down, z forward). ``lit`` is the share
    of windows with a lamp behind.
    """

    ambient: float
    strength: float
    sun: tuple[float, float, float]
    lit: float

    @property
    def base(self) -> float:
        """Brightness that pictures are painted with."""
        return self.ambient + 0.3 * self.strength

    def gain(self, normal: tuple[float, float, float]) -> float:
        """Return the brightness of a surface with this unit normal."""
        facing = sum(a * b for a, b in zip(normal, self.sun, strict=True))
        return self.ambient + self.strength * max(facing, 0.0)


def wall(rng: np.random.Generator, height: int, width: int, kind: str,
         color: tuple[int, int, int]) -> np.ndarray:
    """Return (height, width, 3) float32 of a bare wall of this material."""
    rough = 0.05 * noise_patch(rng, height, width, 0.9) + 0.05 * noise_patch(
        rng, height, width, 1.8)
    if kind in _COURSES:
        course, length, spread = _COURSES[kind]
        tint = rng.normal(0, spread, (height // course + 1, width // length + 2))
        rows = np.arange(height) // course
        columns = (np.arange(width)[None] + (rows[:, None] % 2) * course) // length
        rough = rough + tint[rows[:, None], columns]
        if kind == 'stone':
            rough[np.arange(height) % course == 0] -= 0.1
    streaks = noise_patch(rng, height, width, 1.2, (6.0, 1.0))
    shade = 1 + rough + 0.035 * streaks
    fall = np.linspace(1.04, 0.9, height, dtype=np.float32)[:, None]
    return cv2.merge([(np.float32(part) * shade).astype(np.float32) * fall for part in color])


def _window(rng: np.random.Generator, picture: np.ndarray, box: tuple[int, int, int, int],
            frame: tuple, panes: tuple[int, int], glow: np.ndarray, light: Light) -> None:
    """Put a window into the picture; lamps behind it go into ``glow``."""
    x0, y0, x1, y1 = box
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    picture[y0 - 1:y1 + 2, x0 - 1:x1 + 1] *= 0.55
    picture[y0:y1, x0:x1] = frame
    nx, ny = panes
    sky = np.array((150, 165, 180), np.float32) * rng.uniform(0.2, 0.95)
    dark = np.array((34, 38, 42), np.float32) * rng.uniform(0.6, 1.5)
    slope = np.linspace(1, 0, y1 - y0, dtype=np.float32)[:, None, None] ** rng.uniform(0.5, 3)
    glass = np.broadcast_to(dark + (sky - dark) * slope * rng.uniform(0.2, 0.8),
                            (y1 - y0, x1 - x0, 3)).copy()
    if rng.random() < 0.35:  # curtains or a blind
        part = rng.uniform(0.15, 0.5)
        cloth = np.array(rng.uniform(120, 215), np.float32)
        if rng.random() < 0.5:
            glass[: int(part * (y1 - y0))] = cloth
        else:
            edge = int(part * 0.6 * (x1 - x0))
            glass[:, :edge] = cloth
            glass[:, x1 - x0 - edge:] = cloth
    lamp = rng.random() < light.lit
    for i in range(nx):
        for j in range(ny):
            a, b = x0 + 1 + (x1 - x0 - 1) * i // nx, x0 + (x1 - x0 - 1) * (i + 1) // nx
            c, d = y0 + 1 + (y1 - y0 - 1) * j // ny, y0 + (y1 - y0 - 1) * (j + 1) // ny
            picture[c:d, a:b] = glass[c - y0:d - y0, a - x0:b - x0]
            if lamp:
                glow[c:d, a:b] = (215, 180, 120)
    picture[y1:y1 + 2, max(x0 - 2, 0):x1 + 2] = np.array(frame, np.float32) * 0.8


def _shop(rng: np.random.Generator, picture: np.ndarray, top: int, glow: np.ndarray,
          light: Light) -> None:
    """Replace the ground floor by a shop front with a sign band and large panes."""
    height, width = picture.shape[:2]
    tone = np.array(rng.integers(15, 150, 3), np.float32)
    tone *= rng.uniform(0.5, 1.4)
    picture[top:] = tone * 0.8
    band = int(0.75 * PIXELS_PER_METRE)
    picture[top:top + band] = tone.clip(0, 230)
    ink = (235, 232, 220) if tone.mean() < 120 else (30, 28, 30)
    x = int(rng.uniform(0.08, 0.3) * width)
    letters = rng.integers(5, 13)
    size = int(band * rng.uniform(0.35, 0.55))
    for _ in range(letters):  # letter-like strokes
        if x + size > 0.95 * width:
            break
        y = top + (band - size) // 2
        for _ in range(3):
            p = (int(x + rng.uniform(0, size * 0.6)), int(y + rng.uniform(0, size)))
            q = (int(x + rng.uniform(0, size * 0.6)), int(y + rng.uniform(0, size)))
            cv2.line(picture, p, q, ink, 2)
        x += int(size * 0.8)
    count = max(int(width / PIXELS_PER_METRE / rng.uniform(1.4, 2.6)), 1)
    door = rng.integers(count)
    for i in range(count):
        a = int((i + 0.06) * width / count)
        b = int((i + 0.94) * width / count)
        bottom = height - 1 if i == door else height - int(0.45 * PIXELS_PER_METRE)
        y0 = top + band + 3
        goods = 40 + 26 * noise_patch(rng, bottom - y0, b - a, 1.3)
        tint = rng.uniform(0.7, 1.3, 3).astype(np.float32)
        picture[y0:bottom, a:b] = (goods[..., None] * tint).clip(8, 200)
        if rng.random() < 0.3 + 0.5 * light.lit:
            glow[y0:bottom, a:b] = (goods[..., None] * tint * 2.2 + 40).clip(0, 225)
        for _ in range(rng.integers(0, 4)):  # posters
            px, py = rng.integers(a, max(b - 6, a + 1)), rng.integers(y0, max(bottom - 8, y0 + 1))
            picture[py:py + 12, px:px + 9] = rng.integers(60, 240, 3)
    if rng.random() < 0.3:  # awning
        y0 = top + band
        stripes = (np.arange(width) // 8 % 2)[None, :, None]
        picture[y0:y0 + 16] = np.where(stripes, tone, 225)
        picture[y0 + 16:y0 + 24] *= 0.5


def facade(rng: np.random.Generator, width_m: float, height_m: float, kind: str, floors: int,
           shop: bool, light: Light) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return the front of a house, RGB uint8, and the colour of its walls."""
    scale = PIXELS_PER_METRE
    height, width = max(int(height_m * scale), 16), max(int(width_m * scale), 16)
    palette = _WALLS[kind]
    color = np.array(palette[rng.integers(len(palette))], np.float32)
    color = tuple((color * rng.uniform(0.8, 1.15) + rng.normal(0, 5, 3)).clip(20, 240))
    picture = wall(rng, height, width, kind, color)
    glow = np.zeros_like(picture)
    frame = ((232, 230, 224), (60, 52, 46), (150, 150, 150), (225, 225, 225))[rng.integers(4)]
    storey = height / floors
    bays = max(int(width_m / rng.uniform(1.7, 3.4)), 1)
    bay = width / bays
    share_x, share_y = rng.uniform(0.36, 0.66), rng.uniform(0.42, 0.62)
    if kind == 'glass':
        share_x, share_y = 0.92, 0.78
    elif kind == 'concrete' and rng.random() < 0.6:
        share_x = 0.96
    panes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    door = rng.integers(bays)
    course = rng.random() < 0.5
    for level in range(floors):
        y = height - (level + 1) * storey
        if level == 0 and shop:
            _shop(rng, picture, int(y), glow, light)
            continue
        if course:
            picture[int(y + storey) - 3:int(y + storey)] *= 1.15
        for i in range(bays):
            x0 = int((i + 0.5 - share_x / 2) * bay)
            x1 = int((i + 0.5 + share_x / 2) * bay)
            y0 = int(y + (0.55 - share_y / 2) * storey)
            y1 = int(y + (0.55 + share_y / 2) * storey)
            if level == 0 and i == door:
                a, b = int((i + 0.5) * bay - 0.5 * scale), int((i + 0.5) * bay + 0.5 * scale)
                a = max(a, 2)
                picture[height - int(2.3 * scale):, a - 2:b + 2] = frame
                picture[height - int(2.15 * scale):, a:b] = rng.integers(20, 140, 3)
            else:
                _window(rng, picture, (x0, y0, x1, y1), frame, panes, glow, light)
    cornice = int(rng.uniform(0.15, 0.5) * scale)
    picture[:cornice] = np.array(color) * rng.uniform(0.75, 1.2)
    picture[cornice:cornice + 3] *= 0.6
    if rng.random() < 0.7:  # a rain pipe
        x = int(rng.uniform(0.02, 0.06) * width)
        picture[:, x:x + 3] = np.array((60, 60, 62)) * rng.uniform(0.5, 2)
    return _lit(picture, glow, light), tuple(int(c) for c in color)


def _lit(picture: np.ndarray, glow: np.ndarray, light: Light) -> np.ndarray:
    """Light a picture, and let what glows be no darker than that, uint8."""
    return np.minimum(np.maximum(picture * light.base, glow), 255).astype(np.uint8)


def side_wall(rng: np.random.Generator, width_m: float, height_m: float, kind: str,
              color: tuple[int, int, int], light: Light) -> np.ndarray:
    """Return a mostly blind side wall, RGB uint8."""
    scale = PIXELS_PER_METRE // 2
    height, width = max(int(height_m * scale), 8), max(int(width_m * scale), 8)
    picture = cv2.resize(wall(rng, height * 2, width * 2, kind, color), (width, height),
                         interpolation=cv2.INTER_AREA)
    glow = np.zeros_like(picture)
    for _ in range(rng.integers(0, 5)):
        x, y = int(rng.uniform(0.1, 0.8) * width), int(rng.uniform(0.35, 0.8) * height)
        _window(rng, picture, (x, y, min(x + scale, width - 2), min(y + 17, height - 4)),
                (225, 222, 214), (1, 2), glow, light)
    return _lit(picture, glow, light)


def roof(rng: np.random.Generator, gain: float) -> np.ndarray:
    """Return roof tiles or slate, (96, 192, 3) uint8."""
    color = np.array(((92, 88, 90), (122, 78, 62), (104, 92, 80), (78, 80, 86))[rng.integers(4)])
    rough = 1 + 0.06 * noise_patch(rng, 96, 192, 0.9) + 0.06 * noise_patch(rng, 96, 192, 1.8)
    rough[::6] *= 0.82
    return (color * rough[..., None] * gain).clip(0, 255).astype(np.uint8)


def hedge(rng: np.random.Generator, gain: float) -> np.ndarray:
    """Return leaves, (128, 256, 4) uint8, with an uneven top."""
    h, w = 128, 256
    base = np.array(((52, 72, 34), (64, 78, 40), (40, 60, 36), (88, 84, 48))[rng.integers(4)])
    leaf = noise_patch(rng, h, w, 0.6) * 0.30 + noise_patch(rng, h, w, 1.5) * 0.28
    slope = np.linspace(1.3, 0.6, h)[:, None]
    rgb = base * ((1 + leaf) * slope)[..., None] * gain
    edge = 10 + 5 * noise_patch(rng, 4, w, 1.1)[0]
    alpha = (np.arange(h)[:, None] > edge + 6 * noise_patch(rng, h, w, 0.5)) | (
        np.arange(h)[:, None] > 30)
    return np.dstack([rgb.clip(0, 255), alpha * 255]).astype(np.uint8)


def fence(rng: np.random.Generator, kind: str, gain: float) -> np.ndarray:
    """Return a 4 m wide fence, (80, 256, 4) uint8: 'boards', 'railing' or 'mesh'."""
    h, w = 80, 256
    picture = np.zeros((h, w, 4), np.float32)
    if kind == 'boards':
        base = np.array(((120, 92, 66), (98, 84, 70), (140, 116, 86))[rng.integers(3)])
        tint = rng.normal(1, 0.09, w // 8 + 1)[np.arange(w) // 8]
        grain = 1 + 0.07 * noise_patch(rng, h, w, 1.0, (6.0, 1.0))
        picture[..., :3] = base * (tint[None] * grain)[..., None]
        picture[:, ::8, :3] *= 0.55
        picture[..., 3] = 255
        picture[:3, :, 3] = 255 * (np.arange(w) % 8 > 1)
    else:
        tone = ((28, 30, 30), (40, 60, 46), (150, 152, 150), (220, 220, 216))[rng.integers(4)]
        step, thick = (9, 3) if kind == 'railing' else (6, 1)
        bars = np.zeros((h, w), np.uint8)
        bars[:, np.arange(w) % step < thick] = 255
        if kind == 'mesh':
            bars[np.arange(h) % step < thick] = 255
        bars[4:8] = 255
        bars[-10:-6] = 255
        bars[:, :5] = 255
        bars[:, 128:133] = 255
        picture[..., :3] = tone
        picture[..., 3] = bars
    picture[..., :3] *= gain
    return picture.clip(0, 255).astype(np.uint8)


def low_wall(rng: np.random.Generator, gain: float) -> np.ndarray:
    """Return a garden wall, RGB uint8, with a coping stone."""
    kind = ('brick', 'stone', 'plaster')[rng.integers(3)]
    color = _WALLS[kind][rng.integers(3)]
    picture = wall(rng, 40, 200, kind, color)
    picture[:6] = np.array((170, 166, 156)) * rng.uniform(0.6, 1.1)
    picture[6:8] *= 0.6
    return (picture * gain).clip(0, 255).astype(np.uint8)


def sign(rng: np.random.Generator, kind: str, gain: float) -> np.ndarray:
    """Return a traffic sign, (96, 96, 4) uint8: round, triangle, blue, board, back or lights."""
    picture = np.zeros((96, 96, 4), np.uint8)
    red, white, black, blue = ((190, 30, 34, 255), (235, 235, 230, 255), (20, 20, 22, 255),
                               (30, 70, 160, 255))

    def strokes(color, box):
        for _ in range(int(rng.integers(2, 5))):
            p = tuple(int(v) for v in rng.integers(box[0], box[1], 2))
            q = tuple(int(v) for v in rng.integers(box[0], box[1], 2))
            cv2.line(picture, p, q, color, 6)

    if kind == 'triangle':
        points = np.array([[48, 4], [93, 88], [3, 88]], np.int32)
        cv2.fillConvexPoly(picture, points, red)
        cv2.fillConvexPoly(picture, np.array([[48, 24], [76, 78], [20, 78]], np.int32), white)
        cv2.line(picture, (48, 42), (48, 70), black, 7)
    elif kind == 'round':
        cv2.circle(picture, (48, 48), 46, red, -1)
        cv2.circle(picture, (48, 48), 34, white, -1)
        strokes(black, (32, 64))
    elif kind == 'blue':
        cv2.circle(picture, (48, 48), 46, blue, -1)
        cv2.arrowedLine(picture, (66, 28), (30, 66), white, 9, tipLength=0.5)
    elif kind == 'board':
        tone = ((0, 90, 60, 255), blue, white, (240, 200, 40, 255), (120, 70, 40, 255))[
            rng.integers(5)]
        picture[2:94, 2:94] = tone
        ink = black if tone in (white, (240, 200, 40, 255)) else white
        for y in range(18, 84, 20):
            x = 12
            while x < 76:
                step = int(rng.integers(6, 16))
                picture[y:y + 9, x:min(x + step, 84)] = ink
                x += step + 4
    elif kind == 'back':
        picture[4:92, 4:92] = (120, 122, 122, 255)
        picture[30:36, 4:92] = (84, 86, 86, 255)
    elif kind == 'lights':
        picture[2:94, 6:90] = black
        on = rng.integers(3)
        colors = ((255, 50, 40), (255, 180, 40), (60, 255, 150))
        for i, y in enumerate((19, 48, 77)):
            tone = colors[i] if i == on else tuple(c // 6 for c in colors[i])
            cv2.ellipse(picture, (48, y), (34, 12), 0, 0, 360, (*tone, 255), -1)
        return picture
    else:
        raise ValueError(f'unknown sign {kind!r}: use round, triangle, blue, board, back, lights')
    picture[..., :3] = (picture[..., :3] * min(gain, 1.3)).clip(0, 255).astype(np.uint8)
    return picture
