# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Draws textured rectangles in perspective with an exact label and depth for every pixel.

World axes in metres: x right, y **down** (the road is y = 0, heights negative), z along the road.
Camera axes: x right, y down, z along the optical axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import ceil, floor

import cv2
import numpy as np

NEAR_M = 0.35
FAR_M = 1000.0


class Label(IntEnum):
    """Ids of the classes that are drawn, those of the SegNet distribution of CamVid."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    SIDEWALK = 4
    TREE = 5
    SIGN = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    BICYCLIST = 10
    UNLABELED = 255


_SHIFT = 4  # fractional bits of polygon vertices
_AROUND = 4000  # pixels around the picture that vertices may lie in


class Texture:
    """
    A picture in 8-bit RGBA with lazily made smaller versions, halved per axis (a rip map).

    :param rgba: (h, w, 3 or 4) uint8; without alpha the texture is opaque.
    """

    def __init__(self, rgba: np.ndarray):
        self.opaque = rgba.shape[2] == 3
        self._rgba: np.ndarray | None = rgba
        self._levels: dict[tuple[int, int], np.ndarray] = {}
        self.height, self.width = rgba.shape[:2]

    def level(self, width_px: float, height_px: float) -> np.ndarray:
        """Return the smallest version of at least 0.8 of the size that it will be seen at."""
        if self._rgba is not None:  # half of what a street is made of is never seen
            self._levels[0, 0] = np.ascontiguousarray(
                self._rgba if self.opaque else _bleed(self._rgba))
            self._rgba = None
        x, y, w, h = 0, 0, self.width, self.height
        while w >= 1.6 * width_px and w > 1:
            x, w = x + 1, (w + 1) // 2
        while h >= 1.6 * height_px and h > 1:
            y, h = y + 1, (h + 1) // 2
        found = self._levels.get((x, y))
        if found is None:
            found = cv2.resize(self._levels[0, 0], (w, h), interpolation=cv2.INTER_AREA)
            self._levels[x, y] = found
        return found


def _bleed(rgba: np.ndarray) -> np.ndarray:
    """Carry colour into transparent pixels, so that interpolation leaves no dark fringe."""
    alpha = rgba[..., 3].astype(np.float32) / 255
    weighted = rgba[..., :3] * cv2.merge([alpha] * 3)
    mean = weighted.sum((0, 1)) / max(float(alpha.sum()), 1e-3)
    clear = rgba[..., 3] == 0
    weights = cv2.blur(alpha, (9, 9))[clear]
    near = weights > 1e-3
    color = rgba.copy()
    for channel, sums in enumerate(cv2.split(cv2.blur(weighted, (9, 9)))):
        spread = np.where(near, sums[clear] / np.maximum(weights, 1e-3), mean[channel])
        color[..., channel][clear] = spread.clip(0, 255).astype(np.uint8)
    return color


@dataclass(slots=True)
class Quad:
    """
    A flat textured parallelogram, seen from the side where its texture is not mirrored.

    ``corner`` is the texture's upper left, ``right`` and ``down`` its edges as vectors (metres).
    ``outline`` cuts a polygon out of it, in texture units 0..1. ``label`` None only darkens what
    is there (shadows) and leaves label and depth alone. ``filled`` gives label and depth to the
    whole outline, also where the texture is transparent (railings, as CamVid labels them).
    """

    texture: Texture
    corner: tuple[float, float, float]
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    label: int | None
    gain: float = 1.0
    outline: tuple[tuple[float, float], ...] | None = None
    filled: bool = False
    two_sided: bool = False
    max_m: float = 260.0


@dataclass(slots=True)
class Billboard:
    """An upright picture that always faces the camera; ``foot`` is the middle of its base."""

    texture: Texture
    foot: tuple[float, float, float]
    width: float
    height: float
    label: int
    min_px: float = 0.0
    max_m: float = 220.0


@dataclass
class PinholeCamera:
    """A pinhole camera at ``position``, turned by yaw, pitch (up positive) and roll in radians."""

    height: int
    width: int
    focal: float
    position: np.ndarray
    yaw: float
    pitch: float
    roll: float
    rotation: np.ndarray = field(init=False)

    def __post_init__(self):
        self.focal = float(self.focal)
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        self.rotation = roll @ pitch @ yaw

    def rays(self) -> np.ndarray:
        """Return world directions (3, height, width) float32, 1 along the axis."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.focal
        r = self.rotation.astype(np.float32)
        return np.stack([(y * r[1, i] + r[2, i])[:, None] + (x * r[0, i])[None]
                         for i in range(3)])


def _clip(points: list, inside) -> list:
    """Cut a polygon with a half space; ``inside`` is a signed distance."""
    kept = []
    for index, b in enumerate(points):
        a = points[index - 1]
        da, db = inside(a), inside(b)
        if (da >= 0) != (db >= 0):
            k = da / (da - db)
            kept.append(tuple(p + k * (q - p) for p, q in zip(a, b, strict=True)))
        if db >= 0:
            kept.append(b)
    return kept


_UNIT = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


class Canvas:
    """Image, labels and inverse depth being painted; the nearer surface wins at every pixel."""

    def __init__(self, camera: PinholeCamera, image: np.ndarray, labels: np.ndarray,
                 inverse: np.ndarray):
        self.camera, self.image, self.labels, self.inverse = camera, image, labels, inverse
        self.columns = ((np.arange(camera.width) + 0.5 - camera.width / 2) / camera.focal
                        ).astype(np.float32)
        self.rows = ((np.arange(camera.height) + 0.5 - camera.height / 2) / camera.focal
                     ).astype(np.float32)[:, None]

    def draw(self, quads: list[Quad], billboards: list[Billboard]) -> None:
        """Paint everything, far to near (so that soft edges blend with what is behind)."""
        jobs = self._place_quads(quads) + self._place_billboards(billboards)
        jobs.sort(key=lambda job: -job[0])
        for _, corner, right, down, item, outline in jobs:
            self._paint(corner, right, down, item, outline)

    def draw_in_order(self, quads: list[Quad]) -> None:
        """Paint ground decals in the order given."""
        for _, corner, right, down, item, outline in self._place_quads(quads):
            self._paint(corner, right, down, item, outline)

    def _place_quads(self, quads: list[Quad]) -> list:
        if not quads:
            return []
        raw = np.array([q.corner + q.right + q.down for q in quads]).reshape(-1, 3, 3)
        raw[:, 0] -= self.camera.position
        placed = raw @ self.camera.rotation.T
        corner, right, down = placed[:, 0], placed[:, 1], placed[:, 2]
        facing = np.einsum('ij,ij->i', np.cross(right, down), corner)
        depths = corner[:, 2:] + np.stack(
            [0 * right[:, 2], right[:, 2], right[:, 2] + down[:, 2], down[:, 2]], 1)
        across = corner[:, :1] + np.stack(
            [0 * right[:, 0], right[:, 0], right[:, 0] + down[:, 0], down[:, 0]], 1)
        side = depths * (self.camera.width / 2 / self.camera.focal)
        seen = (depths.max(1) > NEAR_M) & (across < side).any(1) & (across > -side).any(1)
        nearest = depths.min(1)
        zoom = self.camera.focal / np.maximum(nearest, NEAR_M)
        seen &= np.linalg.norm(right, axis=1) * zoom > 1.2
        seen &= np.linalg.norm(down, axis=1) * zoom > 1.2
        center = depths.mean(1)
        jobs = []
        for i in np.flatnonzero(seen & (np.abs(facing) > 1e-6)):
            q = quads[i]
            if (facing[i] > 0 or q.two_sided) and nearest[i] < q.max_m:
                jobs.append((center[i], placed[i, 0].tolist(), placed[i, 1].tolist(),
                             placed[i, 2].tolist(), q, q.outline or _UNIT))
        return jobs

    def _place_billboards(self, items: list[Billboard]) -> list:
        if not items:
            return []
        camera = self.camera
        feet = (np.array([b.foot for b in items]) - camera.position) @ camera.rotation.T
        heading = np.array([np.cos(camera.yaw), 0, -np.sin(camera.yaw)]) @ camera.rotation.T
        below = camera.rotation @ np.array([0.0, 1.0, 0.0])
        jobs = []
        for foot, item in zip(feet, items, strict=True):
            depth = foot[2]
            if not NEAR_M + 0.3 < depth < item.max_m:
                continue
            width = max(item.width, item.min_px * depth / camera.focal)
            if abs(foot[0]) - width > depth * camera.width / 2 / camera.focal + 0.5:
                continue
            right, down = heading * width, below * item.height
            corner = foot - down - right / 2
            jobs.append((depth, corner.tolist(), right.tolist(), down.tolist(), item, _UNIT))
        return jobs

    def _paint(self, corner, right, down, item, outline) -> None:
        screen = self._on_screen(corner, right, down, outline)
        if len(screen) < 3:
            return
        xs, ys = zip(*screen, strict=True)
        x0, x1 = max(floor(min(xs)) - 1, 0), min(ceil(max(xs)) + 1, self.camera.width)
        y0, y1 = max(floor(min(ys)) - 1, 0), min(ceil(max(ys)) + 1, self.camera.height)
        # 1/depth is affine in the pixel: n·P = k on the plane and P = depth·ray.
        n = (right[1] * down[2] - right[2] * down[1], right[2] * down[0] - right[0] * down[2],
             right[0] * down[1] - right[1] * down[0])
        k = n[0] * corner[0] + n[1] * corner[1] + n[2] * corner[2]
        if x1 <= x0 or y1 <= y0 or abs(k) < 1e-9:
            return
        area = (slice(y0, y1), slice(x0, x1))
        mask = _filled(screen, x0, y0, (y1 - y0, x1 - x0))
        stored, label = self.inverse[area], item.label
        if label is not None:
            plane = self.columns[x0:x1] * np.float32(n[0] / k) + (
                self.rows[y0:y1] * np.float32(n[1] / k) + np.float32(n[2] / k))
            cv2.bitwise_and(mask, cv2.compare(plane, stored, cv2.CMP_GT), dst=mask)

        texture = item.texture
        span_x = max(max(abs(x - xs[i - 1]) for i, x in enumerate(xs)), 1)
        picture = texture.level(max(span_x, 0.7 * (max(xs) - min(xs))), max(ys) - min(ys))
        warped = self._warped(picture, corner, right, down, area)
        cover = mask
        if not texture.opaque:
            cover = cv2.multiply(mask, cv2.extractChannel(warped, 3), scale=1 / 255)
            warped = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
        gain = getattr(item, 'gain', 1.0)
        if gain != 1.0:
            warped = cv2.convertScaleAbs(warped, alpha=gain)
        weight = cv2.multiply(cover, 1 / 255, dtype=cv2.CV_32F)
        picture_area = self.image[area]
        picture_area[:] = cv2.blendLinear(warped, picture_area, weight, 1 - weight)
        if label is not None:
            solid = (mask if getattr(item, 'filled', False) else cover) > 127
            np.copyto(self.labels[area], np.uint8(label), where=solid)
            np.copyto(stored, plane, where=solid)

    def _on_screen(self, corner, right, down, outline) -> list[tuple[float, float]]:
        """Project an outline, cut where it is too near or far outside of the picture."""
        camera = self.camera
        points = [tuple(c + s * r + t * d for c, r, d in zip(corner, right, down, strict=True))
                  for s, t in outline]
        if min(p[2] for p in points) < NEAR_M:
            points = _clip(points, lambda p: p[2] - NEAR_M)
        screen = [(camera.focal * p[0] / p[2] + camera.width / 2,
                   camera.focal * p[1] / p[2] + camera.height / 2) for p in points]
        last_x, last_y = camera.width + _AROUND, camera.height + _AROUND
        if not all(-_AROUND <= x <= last_x and -_AROUND <= y <= last_y for x, y in screen):
            for inside in (lambda p: p[0] + _AROUND, lambda p: last_x - p[0],
                           lambda p: p[1] + _AROUND, lambda p: last_y - p[1]):
                screen = _clip(screen, inside)
        return screen

    def _warped(self, picture: np.ndarray, corner, right, down, area: tuple[slice, slice]
                ) -> np.ndarray:
        """Take a picture of a parallelogram to an area of the screen."""
        camera, (rows, columns) = self.camera, area
        h, w = picture.shape[:2]
        to_screen = np.array([
            [camera.focal, 0, camera.width / 2 - columns.start - 0.5],
            [0, camera.focal, camera.height / 2 - rows.start - 0.5], [0, 0, 1]])
        plane = np.array([[right[i] / w, down[i] / h,
                           corner[i] + 0.5 * (right[i] / w + down[i] / h)] for i in range(3)])
        return cv2.warpPerspective(
            picture, to_screen @ plane, (columns.stop - columns.start, rows.stop - rows.start),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _filled(polygon: Sequence[tuple[float, float]], left: int, top: int, size: tuple[int, int]
            ) -> np.ndarray:
    """Fill a polygon of the screen in a mask of its part from (left, top) on, uint8 0..255."""
    mask, scale = np.zeros(size, np.uint8), 1 << _SHIFT
    points = np.array([[round((x - 0.5 - left) * scale), round((y - 0.5 - top) * scale)]
                       for x, y in polygon], np.int32)
    cv2.fillConvexPoly(mask, points, 255, cv2.LINE_AA, _SHIFT)
    return mask
