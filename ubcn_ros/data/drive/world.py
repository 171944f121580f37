# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The street itself, made chunk by chunk from a seed: what stands along it and what is painted."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ubcn_ros.data.drive.ground import CELL_M, CHUNK_M, HALF_WIDTH_M
from ubcn_ros.data.drive.paint import paint_ground
from ubcn_ros.data.drive.render import Billboard, Label, Quad
from ubcn_ros.data.drive.stock import Stock
from ubcn_ros.data.drive.style import ZONES, Style

_SETBACK = {'shops': (0.0, 0.3), 'terrace': (0.5, 4.0), 'villas': (4.0, 11.0),
            'offices': (0.0, 7.0), 'park': (0.0, 0.0), 'estate': (3.0, 9.0)}


@dataclass
class Chunk:
    """What stands on ``CHUNK_M`` metres of street; coordinates are the world's."""

    quads: list[Quad] = field(default_factory=list)
    billboards: list[Billboard] = field(default_factory=list)
    shadows: list[Quad] = field(default_factory=list)
    crossing: float | None = None
    junction: tuple[float, float, tuple[int, ...]] | None = None
    blockers: list[tuple] = field(default_factory=list)  # (side, z0, z1, u, height) cast shadows


class World(Stock):
    """
    A street without end; every part follows from the seed alone.

    :param seed: draws everything that is not in the style.
    :param style: see :func:`ubcn_ros.data.drive.style.draw_style`.
    """

    def __init__(self, seed: int, style: Style):
        super().__init__(seed, style)
        self.chunk = self.cached(World._chunk, 24)
        self.ground_map = self.cached(paint_ground, 12)

    def point(self, u: float, up: float, z: float) -> tuple[float, float, float]:
        """Return the world position of lateral u and height ``up`` at z along the road."""
        return (float(self.style.center(z)) + u, -up, z)

    # -- layout ----------------------------------------------------------------------------

    def zone(self, k: int, side: int) -> str:
        """Return the kind of surroundings of chunk k on this side (-1 left, 1 right)."""
        rng = self.rng(2, side, k // 2)
        return ZONES[rng.choice(len(ZONES), p=self.style.zones)]

    def _chunk(self, k: int) -> Chunk:
        style, chunk = self.style, Chunk()
        rng = self.rng(3, k)
        z0 = k * CHUNK_M
        if rng.random() < 0.35:
            start = z0 + rng.uniform(14, 24)
            sides = ((-1,), (1,), (-1, 1))[rng.integers(3)]
            chunk.junction = (start, start + rng.uniform(6.5, 10), sides)
        if rng.random() < 0.3:
            chunk.crossing = z0 + rng.uniform(2, 10)
        for side in (-1, 1):
            self._line_street(rng, chunk, k, side)
            self._furniture(rng, chunk, k, side)
            self._backdrop(rng, chunk, k, side)
        self._people(rng, chunk, k)
        if chunk.crossing is not None and rng.random() < 0.6:
            for side in (-1, 1):
                self._signal(rng, chunk, side * (style.half_road + 0.5), chunk.crossing - 1.0)
        return chunk

    def _gaps(self, chunk: Chunk, k: int, side: int) -> list[tuple[float, float]]:
        z0 = k * CHUNK_M
        if chunk.junction and side in chunk.junction[2]:
            return [(z0, chunk.junction[0] - 3), (chunk.junction[1] + 3, z0 + CHUNK_M)]
        return [(z0, z0 + CHUNK_M)]

    def _facing(self, side: int) -> float:
        return self.style.light.gain((-side, 0, 0)) / self.style.light.base

    def along(self, side: int, u: float, za: float, zb: float, top: float):
        """Return corner, right and down of a plane from the ground up that faces the road."""
        a, b = (za, zb) if side < 0 else (zb, za)
        start, end = self.point(side * u, top, a), self.point(side * u, top, b)
        return start, (end[0] - start[0], 0.0, end[2] - start[2]), (0.0, top, 0.0)

    def _line_street(self, rng, chunk: Chunk, k: int, side: int) -> None:
        style, zone = self.style, self.zone(k, side)
        setback = self.rng(4, side, k // 2).uniform(*_SETBACK[zone])
        for start, stop in self._gaps(chunk, k, side):
            if zone != 'park':
                self._houses(rng, chunk, side, zone, style.edge + setback, start, stop)
            if setback > 1.2 or zone == 'park':
                self._boundary(rng, chunk, side, start, stop)
            area = {'park': 7, 'villas': 4, 'estate': 3}.get(zone, 1 if setback > 2 else 0)
            for _ in range(rng.poisson(style.trees * area * (stop - start) / 30)):
                reach = 16 if zone == 'park' else max(setback - 1, 0.5)
                self._plant(rng, chunk, side * (style.edge + 0.6 + rng.uniform(0, reach)),
                            rng.uniform(start, stop))

    def _houses(self, rng, chunk, side, zone, u, start, stop) -> None:
        z = start + (rng.uniform(0, 3) if zone in ('villas', 'estate') else 0)
        light = self.style.light
        same = rng.integers(10)
        beside, beside_height = -1.0, 0.0  # where the house before ends, and its eaves
        while True:
            index = int(same if zone == 'terrace' and rng.random() < 0.8 else rng.integers(10))
            house = self.house(zone, index)
            if z + house.width > stop:
                break
            end = z + house.width
            corner, right, down = self.along(side, u, z, end, house.height)
            chunk.quads.append(Quad(house.front, corner, right, down, Label.BUILDING,
                                    self._facing(side)))
            chunk.blockers.append((side, z, end, u, house.height))
            total = house.height + house.ridge
            left = self.point(u if side > 0 else -(u + house.depth), total, z)
            gable = ((0, house.ridge / total), (0.5, 0), (1, house.ridge / total), (1, 1), (0, 1))
            if z > beside + 0.1 or beside_height < total:
                chunk.quads.append(Quad(house.side, left, (house.depth, 0, 0), (0, total, 0),
                                        Label.BUILDING, light.gain((0, 0, -1)) / light.base,
                                        gable if house.ridge else None))
            beside, beside_height = end, total
            if house.ridge:
                a, b = (z, end) if side < 0 else (end, z)
                top = self.point(side * (u + house.depth / 2), total, a)
                eaves = self.point(side * (u - 0.3), house.height - 0.1, a)
                chunk.quads.append(Quad(
                    house.roof, top, right, tuple(q - p for p, q in zip(top, eaves, strict=True)),
                    Label.BUILDING, light.gain((-side * 0.6, -0.8, 0)) / light.base))
                if rng.random() < 0.6:
                    foot = self.point(side * (u + house.depth / 2), house.height + 0.4 *
                                      house.ridge, z + rng.uniform(0.1, 0.9) * house.width)
                    chunk.billboards.append(Billboard(
                        self.picture('chimney', 0), foot, rng.uniform(0.7, 1.3),
                        house.ridge * 0.6 + rng.uniform(0.8, 1.4), Label.BUILDING,
                        max_m=120))
            z = end
            if zone in ('villas', 'estate'):
                z += rng.uniform(1.5, 9)
            elif rng.random() < 0.08:
                z += rng.uniform(2, 5)

    def _boundary(self, rng, chunk, side, start, stop) -> None:
        u = self.style.edge + 0.1
        z = start
        while z < stop - 1:
            end = min(z + rng.uniform(6, 20), stop)
            kind = ('hedge', 'wall', 'boards', 'railing', 'railing', 'mesh', 'none')[
                rng.choice(7, p=(0.2, 0.16, 0.17, 0.19, 0.1, 0.06, 0.12))]
            high = {'hedge': (0.9, 2.4), 'wall': (0.6, 1.9), 'boards': (1.0, 1.9),
                    'railing': (0.9, 1.6), 'mesh': (1.0, 2.2), 'none': (0, 0)}[kind]
            height = rng.uniform(*high)
            label = {'hedge': Label.TREE, 'wall': Label.BUILDING}.get(kind, Label.FENCE)
            index = int(rng.integers(4))
            while kind != 'none' and z < end - 0.3:
                stretch = min(4.0, end - z)
                corner, right, down = self.along(side, u, z, z + stretch, height)
                chunk.quads.append(Quad(self.picture(kind, index), corner, right, down, label,
                                        self._facing(side), filled=label == Label.FENCE,
                                        two_sided=True, max_m=150))
                z += stretch
            z = end + (rng.uniform(1, 3.5) if rng.random() < 0.5 else 0)

    def _plant(self, rng, chunk, u, z) -> None:
        height = rng.uniform(4, 13)
        chunk.billboards.append(Billboard(self.tree(int(rng.integers(8))), self.point(u, 0, z),
                                          height * rng.uniform(0.6, 0.95), height, Label.TREE))
        chunk.blockers.append((0, z - 2.5, z + 2.5, u, height))

    def _backdrop(self, rng, chunk, k, side) -> None:
        """Fill the gaps with what stands further back, so that sky seldom meets the ground."""
        z = k * CHUNK_M
        u = self.style.edge + rng.uniform(26, 40)
        if self.zone(k, side) == 'park' or rng.random() < 0.5:
            high = rng.uniform(3, 9)
            corner, right, down = self.along(side, u, z, z + CHUNK_M, high)
            chunk.quads.append(Quad(self.picture('wood', int(rng.integers(3))), corner, right,
                                    down, Label.TREE, two_sided=True))
        else:
            corner, right, down = self.along(side, u, z, z + CHUNK_M, 14.0)
            chunk.quads.append(Quad(self.row(int(rng.integers(3))), corner, right, down,
                                    Label.BUILDING, self._facing(side)))

    def _furniture(self, rng, chunk, k, side) -> None:
        style, z0 = self.style, k * CHUNK_M
        kerb = side * (style.half_road + 0.55)
        pole_kind = ('pole', 'dark_pole')[self.rng(5).integers(2)]
        spacing = self.rng(6).uniform(20, 34)
        high = self.rng(7).uniform(5, 9.5)
        first = np.ceil((z0 - 9 * side) / spacing)
        z = first * spacing + 9 * side
        while z < z0 + CHUNK_M:
            self._lamp(chunk, side, kerb, z, high, pole_kind)
            z += spacing
        self._signs(rng, chunk, z0, side, kerb, pole_kind)
        if style.trees > 0.4 and self.rng(8, side).random() < 0.5:  # an avenue
            for z in np.arange(z0 + 4, z0 + CHUNK_M, self.rng(9).uniform(9, 18)):
                if rng.random() < 0.85:
                    self._plant(rng, chunk, kerb + side * rng.uniform(0.3, 0.8), z)
        if rng.random() < 0.3:  # bollards
            z, step = z0 + rng.uniform(0, 30), rng.uniform(1.2, 2.5)
            for i in range(int(rng.integers(3, 9))):
                self._pole(chunk, kerb, z + i * step, 1.0, 0.13, pole_kind)
        if rng.random() < 0.25:  # a guard rail at the kerb
            z, stretch = z0 + rng.uniform(0, 24), 4.0
            index = int(rng.integers(4))
            for i in range(int(rng.integers(2, 6))):
                corner, right, down = self.along(side, abs(kerb), z + i * stretch,
                                                 z + (i + 1) * stretch, 1.05)
                chunk.quads.append(Quad(self.picture('railing', index), corner, right, down,
                                        Label.FENCE, filled=True, two_sided=True, max_m=120))
        if rng.random() < 0.25:  # a cabinet or bin
            chunk.billboards.append(Billboard(
                self.picture('box', int(rng.integers(3))),
                self.point(kerb + side * rng.uniform(0.1, 1), 0, z0 + rng.uniform(0, CHUNK_M)),
                rng.uniform(0.4, 0.9), rng.uniform(0.9, 1.4), Label.UNLABELED))
        if chunk.junction and side in chunk.junction[2] and rng.random() < 0.5:
            self._signal(rng, chunk, kerb, chunk.junction[0] - 3.5)
        self._parked(rng, chunk, k, side)

    def _signs(self, rng, chunk, z0, side, kerb, pole_kind) -> None:
        for _ in range(rng.poisson(1.7)):
            z = z0 + rng.uniform(0, CHUNK_M)
            kind = ('round', 'triangle', 'blue', 'board', 'back', 'board')[rng.integers(6)]
            size = rng.uniform(0.55, 0.95) * (1.5 if kind == 'board' else 1)
            high = rng.uniform(2.0, 2.8)
            u = kerb + side * rng.uniform(-0.1, 0.9)
            self._pole(chunk, u, z, high + size * 0.8, 0.08, pole_kind)
            foot = self.point(u, high, z - 0.06)
            chunk.billboards.append(Billboard(self.picture(kind, int(rng.integers(6))), foot,
                                              size * rng.uniform(0.7, 1.0), size, Label.SIGN,
                                              max_m=120))

    def _parked(self, rng, chunk, k, side) -> None:
        """Add a row of parked cars, but for junctions and crossings."""
        style, z0 = self.style, k * CHUNK_M
        parked = style.parked * (1.0 if style.parking else 0.25)
        lane = style.half_road - 1.05 if style.parking else style.half_road + 0.9
        z = z0 + rng.uniform(2, 6)
        while z < z0 + CHUNK_M - 6:
            junction = chunk.junction and chunk.junction[0] - 8 < z < chunk.junction[1] + 5
            crossing = chunk.crossing and chunk.crossing - 7 < z < chunk.crossing + 7
            if rng.random() < parked and not junction and not crossing:
                car = self.vehicle(int(rng.integers(14)), False)
                ours = (side == style.our_side) != (rng.random() < 0.15)
                heading = np.arctan(style.slope(z)) + rng.normal(0, 0.02) + (0 if ours else np.pi)
                x, _, _ = self.point(side * (lane + rng.normal(0, 0.08)), 0, z)
                quads, shadow = car.place(x, z, heading)
                chunk.quads += quads
                chunk.shadows.append(shadow)
            z += rng.uniform(5.4, 7.5)

    def _pole(self, chunk, u, z, height, width, kind) -> None:
        chunk.billboards.append(Billboard(self.picture(kind, 0), self.point(u, 0, z), width,
                                          height, Label.POLE, min_px=1.3, max_m=110))

    def _lamp(self, chunk, side, u, z, height, kind) -> None:
        self._pole(chunk, u, z, height, 0.15, kind)
        reach = min(2.2, abs(u) - 0.5)
        corner = self.point(u - side * reach, height, z) if side > 0 else self.point(u, height, z)
        chunk.quads.append(Quad(self.picture(kind, 0), corner, (reach, 0, 0), (0, 0.14, 0),
                                Label.POLE, two_sided=True, max_m=80))
        foot = self.point(u - side * reach, height - 0.12, z)
        chunk.billboards.append(Billboard(self.picture(kind, 0), foot, 0.7, 0.2, Label.POLE,
                                          max_m=60))

    def _signal(self, rng, chunk, u, z) -> None:
        self._pole(chunk, u, z, 3.3, 0.12, 'dark_pole')
        chunk.billboards.append(Billboard(self.picture('lights', int(rng.integers(6))),
                                          self.point(u, 2.35, z - 0.1), 0.42, 1.05, Label.SIGN))

    def _people(self, rng, chunk, k) -> None:
        """Add groups that stand; those who walk are in the traffic."""
        style = self.style
        for _ in range(rng.poisson(style.walkers * 1.1)):
            side = int(rng.choice((-1, 1)))
            u = side * (style.half_road + 0.4 + rng.uniform(0.1, 0.9) * style.pavement)
            z = k * CHUNK_M + rng.uniform(0, CHUNK_M)
            for _ in range(int(rng.integers(1, 4))):
                high = rng.uniform(1.5, 1.9) * (0.7 if rng.random() < 0.1 else 1)
                chunk.billboards.append(Billboard(
                    self.person(int(rng.integers(12)), 0, False),
                    self.point(u + rng.normal(0, 0.5), 0, z + rng.normal(0, 0.6)), high / 2, high,
                    Label.PEDESTRIAN, max_m=120))

    # -- ground ----------------------------------------------------------------------------

    def cast_shadows(self, k: int) -> np.ndarray | None:
        """Return the shadows on chunk k: 0..1 on a quarter of the ground's grid."""
        sun = self.style.light.sun
        if self.style.light.strength < 0.3 or sun[1] > -0.1:
            return None
        cell = 4 * CELL_M
        mask = np.zeros((round(CHUNK_M / cell), round(2 * HALF_WIDTH_M / cell)), np.uint8)
        for chunk_index in (k - 1, k, k + 1):
            for side, za, zb, u, height in self.chunk(chunk_index).blockers:
                du, dz = sun[0] / sun[1] * height, sun[2] / sun[1] * height
                if side:
                    u = side * u
                    ring = [(u, za), (u, zb), (u + du, zb + dz), (u + du, za + dz)]
                else:
                    c, s = 0.6 * du, 0.6 * dz
                    ring = [(u + c + 2.2 * np.cos(a) + 0.25 * du * np.cos(a),
                             (za + zb) / 2 + s + 2.2 * np.sin(a) + 0.25 * dz * np.cos(a))
                            for a in np.arange(0, 6.2, 0.7)]
                pixels = [[(p + HALF_WIDTH_M) / cell, (q - k * CHUNK_M) / cell] for p, q in ring]
                cv2.fillPoly(mask, [np.array(pixels).round().astype(np.int32)], 255)
        return cv2.GaussianBlur(mask, (0, 0), 0.8).astype(np.float32) / 255
