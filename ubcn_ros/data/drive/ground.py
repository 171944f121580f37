# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ground as a map seen from above, and ground and sky as the camera sees them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ubcn_ros.data.drive.noise import noise_patch, noise_tile
from ubcn_ros.data.drive.render import FAR_M, PinholeCamera

CELL_M = 0.05
HALF_WIDTH_M = 25.6
CHUNK_M = 48.0
_LEVELS = ((1, 1, 13.0), (2, 8, 38.0), (4, 32, 1e9))  # cells across, along, up to this depth


class GroundMap:
    """
    A chunk of ground: colours and labels on a grid of (along, across), ``CELL_M`` apart.

    Row 0 is the chunk's start, column 0 is ``-HALF_WIDTH_M``. The drawing methods take metres
    from the centre line and from the chunk's start.
    """

    def __init__(self, rng: np.random.Generator):
        self.rows, self.columns = round(CHUNK_M / CELL_M), round(2 * HALF_WIDTH_M / CELL_M)
        self.color = np.zeros((self.rows, self.columns, 3), np.uint8)
        self.labels = np.zeros((self.rows, self.columns), np.uint8)
        self.rng = rng

    def _area(self, u0, u1, z0, z1):
        def cell(value, limit):
            return min(max(round(value), 0), limit)
        return (slice(cell(z0 / CELL_M, self.rows), cell(z1 / CELL_M, self.rows)),
                slice(cell((u0 + HALF_WIDTH_M) / CELL_M, self.columns),
                      cell((u1 + HALF_WIDTH_M) / CELL_M, self.columns)))

    def fill(self, u0: float, u1: float, z0: float, z1: float, color, label: int | None) -> None:
        """Fill a rectangle; ``label`` None leaves labels alone (paint on the road)."""
        area = self._area(u0, u1, z0, z1)
        self.color[area] = color
        if label is not None:
            self.labels[area] = label

    def darken(self, u0: float, u1: float, z0: float, z1: float, factor: float) -> None:
        """Multiply a rectangle's brightness."""
        area = self._area(u0, u1, z0, z1)
        self.color[area] = cv2.convertScaleAbs(self.color[area], alpha=factor) \
            if self.color[area].size else self.color[area]

    def line(self, points, color, width_m: float) -> None:
        """Paint a line through (u, z) points."""
        pixels = np.array([[(u + HALF_WIDTH_M) / CELL_M, z / CELL_M] for u, z in points])
        cv2.polylines(self.color, [pixels.astype(np.int32)], False, color,
                      max(round(width_m / CELL_M), 1))

    def finish(self, light: float, shadow: np.ndarray | None, shade: float) -> None:
        """Add grain and stains, cast shadows (mask 0..1 on a quarter of the grid), and light."""
        rough = 1 + 0.05 * noise_patch(self.rng, self.rows, self.columns, 0.4)
        rough += 0.06 * noise_patch(self.rng, self.rows, self.columns, 1.6, (5.0, 2.2))
        gain = rough * light
        if shadow is not None:
            soft = cv2.resize(shadow, (self.columns, self.rows), interpolation=cv2.INTER_LINEAR)
            gain *= 1 - shade * soft
        self.color = cv2.multiply(self.color, cv2.merge([gain.astype(np.float32)] * 3),
                                  dtype=cv2.CV_8U)
        self.levels = [(self.color, self.labels)]
        for across, along, _ in _LEVELS[1:]:
            size = (self.columns // across, self.rows // along)
            self.levels.append((cv2.resize(self.color, size, interpolation=cv2.INTER_AREA),
                                self.labels[along // 2::along, across // 2::across]))


class Ground:
    """
    Looks at the maps of consecutive chunks in perspective.

    :param get_map: chunk number -> finished :class:`GroundMap`.
    :param center: world z (array) -> x of the road's centre line there.
    """

    def __init__(self, get_map: Callable[[int], GroundMap], center: Callable):
        self._get_map, self._center = get_map, center
        self._windows: dict = {}

    def _window(self, level: int, first: int, last: int):
        key = (first, last)
        held = self._windows.get(level)
        if held is None or held[0] != key:
            maps = [self._get_map(k).levels[level] for k in range(first, last + 1)]
            held = (key, np.concatenate([m[0] for m in maps]),
                    np.concatenate([m[1] for m in maps]))
            self._windows[level] = held
        return held[1], held[2]

    def draw(self, camera: PinholeCamera, rays: np.ndarray, image: np.ndarray, labels: np.ndarray,
             inverse: np.ndarray) -> None:
        """Paint all pixels that see the ground nearer than about 400 m."""
        height = -float(camera.position[1])
        inverse_all = rays[1] * np.float32(1 / height)
        top = int(np.argmax((inverse_all > 1 / 400.0).any(1)))
        sky = inverse_all[top:] <= 1 / 400.0
        crossed = slice(top + 1, top + int(sky.any(1).sum()))  # rows that a rolled horizon crosses
        above = image[crossed].copy()
        depth = 1 / np.maximum(inverse_all[top:], 1 / 400.0)
        z = rays[2, top:] * depth + np.float32(camera.position[2])
        x = rays[0, top:] * depth + np.float32(camera.position[0])
        u = self._from_center(x, z)
        rows_depth = depth.mean(1)
        begin = depth.shape[0]
        for level, (_, _, reach) in enumerate(_LEVELS):
            end, begin = begin, int(np.argmax(rows_depth < reach)) if (
                rows_depth < reach).any() else begin
            if level == len(_LEVELS) - 1:
                begin = 0
            if end <= begin:
                continue
            part, rows = slice(begin, end), slice(top + begin, top + end)
            image[rows], labels[rows] = self._seen(
                level, u[part], z[part], rows_depth[part], camera.position[2] + 300)
            inverse[rows] = 1 / depth[part]
        labels[top:][sky] = 0
        inverse[top:][sky] = 1 / FAR_M
        crossed_sky = sky[1:1 + len(above)]
        image[crossed][crossed_sky] = above[crossed_sky]

    def _from_center(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return how far right of the road's centre line points of the world are, float32."""
        start, step = float(z.min()) - 1, 0.25
        table = self._center(np.arange(start, float(z.max()) + 2, step)).astype(np.float32)
        place = (z - np.float32(start)) * np.float32(1 / step)
        index = place.astype(np.int32)
        between = place - index.astype(np.float32)
        low = table[index]
        return x - low - (table[index + 1] - low) * between

    def _seen(self, level: int, u: np.ndarray, z: np.ndarray, rows_depth: np.ndarray, far: float
              ) -> tuple[np.ndarray, np.ndarray]:
        """Look up colours and labels at (u, z), in metres, of rows of about one depth each."""
        across, along, _ = _LEVELS[level]
        first = int(np.floor(float(z.min()) / CHUNK_M))
        last = int(np.floor(min(float(z.max()), far) / CHUNK_M))
        color, label = self._window(level, first, max(last, first))
        cell_z = (z - np.float32(first * CHUNK_M)) * np.float32(1 / (CELL_M * along)) - 0.5
        cell_u = (u + np.float32(HALF_WIDTH_M)) * np.float32(1 / (CELL_M * across)) - 0.5
        seen = cv2.remap(color, cell_u, cell_z, cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REPLICATE)
        if level < 2:
            fine = cv2.remap(noise_tile(0.5, 3), cell_u * np.float32(1.7 * across),
                             cell_z * np.float32(1.7 * along), cv2.INTER_LINEAR,
                             borderMode=cv2.BORDER_WRAP)
            fade = (1 - rows_depth / 38).clip(0, 1)[:, None] * 0.055
            gain = (1 + fine * fade).astype(np.float32)
            seen = cv2.multiply(seen, cv2.merge([gain] * 3), dtype=cv2.CV_8U)
        return seen, cv2.remap(label, cell_u, cell_z, cv2.INTER_NEAREST,
                               borderMode=cv2.BORDER_REPLICATE)


def draw_sky(rays: np.ndarray, rows: int, zenith, horizon, cloud, cover: float, offset,
             image: np.ndarray) -> None:
    """
    Paint the first ``rows`` rows with a gradient and clouds on a plane high above.

    ``cover`` 0..1 is the clouds' share, ``offset`` (2,) shifts them.
    """
    coarse = (slice(0, rows + 1, 2), slice(None, None, 2))  # clouds are soft: half size will do
    up = np.maximum(-rays[1][coarse], 0.004)
    tile = noise_tile(1.45, 5)
    x = rays[0][coarse] / (up + 0.06) * 55 + np.float32(offset[0])
    y = rays[2][coarse] / (up + 0.06) * 55 + np.float32(offset[1])
    noise = cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    noise += 0.35 * cv2.remap(tile, 3.1 * x, 3.1 * y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    amount = ((noise + (cover - 0.5) * 3.6) * 0.8 + 0.35).clip(0, 1) * (up * 9).clip(0.25, 1)
    t = np.sqrt((up * 1.9).clip(0, 1))[..., None]
    color = np.float32(horizon) + (np.float32(zenith) - np.float32(horizon)) * t
    body = np.float32(cloud) * (1 - 0.16 * noise.clip(0, 2.4))[..., None]
    small = (color + (body - color) * amount[..., None]).clip(0, 255).astype(np.uint8)
    image[:rows] = cv2.resize(small, (image.shape[1], rows), interpolation=cv2.INTER_LINEAR)
