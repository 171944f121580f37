# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that moves in a drive, as a function of time: cars, cyclists, pedestrians."""

from __future__ import annotations

from math import atan, pi, sin

from ubcn_ros.data.drive.ground import CHUNK_M
from ubcn_ros.data.drive.render import Billboard, Label, Quad

_AHEAD_M, _BEHIND_M = 190.0, 14.0


class Traffic:
    """
    Streams of road users that never end; where each of them is follows from the time.

    :param world: the street, see :class:`ubcn_ros.data.drive.world.World`.
    """

    def __init__(self, world):
        self.world, self.style = world, world.style

    def add(self, time_s: float, here: float, quads: list[Quad], billboards: list[Billboard],
            shadows: list[Quad]) -> None:
        """Append what is visible at this time from ``here`` (metres along the street)."""
        style = self.style
        ours = style.our_side
        for lane in range(style.lanes):
            u = (lane + 0.5) * style.lane
            for index, z in self._stream(40 + lane, 22 / (0.15 + style.traffic), -9.0, time_s,
                                         here):
                self._car(index, -ours * u, z, pi, quads, shadows)
        self._leaders(time_s, here, quads, shadows)
        for side in (-1, 1):
            facing = side == ours
            pace = 4.2 if facing else -4.5
            u = side * (style.half_road - style.parking - 0.65)
            for index, z in self._stream(50 + side, 30 / (0.1 + style.riders), pace, time_s,
                                         here):
                self._cyclist(index, u, z, time_s, billboards)
            for stream, pace in ((60, 1.35), (70, -1.3)):
                for index, z in self._stream(stream + side, 26 / (0.1 + style.walkers), pace,
                                             time_s, here):
                    self._walker(index, side, z, time_s, billboards)
        first = int(here // CHUNK_M)
        for k in range(first, first + 4):
            self._crossers(k, time_s, billboards)

    def _stream(self, key: int, spacing: float, pace: float, time_s: float, here: float):
        """Yield (number, z) of a row of movers ``spacing`` apart on average that is in sight."""
        shift = pace * time_s
        low = int((here - _BEHIND_M - shift) // spacing) - 1
        high = int((here + _AHEAD_M - shift) // spacing) + 1
        for i in range(low, high + 1):
            rng = self.world.rng(key, i)
            if rng.random() < 0.25:
                continue
            z = (i + rng.uniform(0.1, 0.7)) * spacing + shift
            if here - _BEHIND_M < z < here + _AHEAD_M:
                yield int(rng.integers(1 << 20)), z

    def _car(self, index: int, u: float, z: float, turn: float, quads, shadows) -> None:
        car = self.world.vehicle(index % 14, index % 11 == 0)
        x, _, _ = self.world.point(u, 0, z)
        faces, shadow = car.place(x, z, atan(self.style.slope(z)) + turn)
        quads += faces
        shadows.append(shadow)

    def _leaders(self, time_s: float, here: float, quads, shadows) -> None:
        style, rng = self.style, self.world.rng(45)
        for lane in range(style.lanes):
            gap = rng.uniform(6, 40) / (0.3 + style.traffic)
            for i in range(4):
                index = int(rng.integers(1 << 20))
                drift = rng.uniform(0, 0.25) * gap * sin(rng.uniform(0.05, 0.2) * time_s + i)
                if rng.random() < 0.35 + 0.5 * style.traffic:
                    self._car(index, style.our_side * (lane + 0.5) * style.lane,
                              here + gap + 5 + drift, 0.0, quads, shadows)
                gap += rng.uniform(9, 40) / (0.3 + style.traffic)

    def _cyclist(self, index, u, z, time_s, billboards) -> None:
        phase = int((time_s * 1.2 * 8 + index) % 8)
        high = 1.68 + 0.01 * (index % 20)
        billboards.append(Billboard(self.world.rider(index % 8, phase, 'end'),
                                    self.world.point(u, 0, z), high * 96 / 256, high,
                                    Label.BICYCLIST, max_m=130))
        if index % 3 == 0:  # a second one who turns or crosses, seen from the side
            texture = self.world.rider(index % 8, phase, 'side')
            foot = self.world.point(u * 1.02, 0, z + 8)
            billboards.append(Billboard(texture, foot, high, high, Label.BICYCLIST, max_m=130))

    def _walker(self, index, side, z, time_s, billboards) -> None:
        style = self.style
        u = side * (style.half_road + 0.5 + style.verge + (index % 97) / 97 * (
            style.pavement - 0.5))
        phase = int((time_s * 0.9 * 8 + index) % 8)
        high = (1.5 + (index % 40) / 100) * (0.65 if index % 13 == 0 else 1)
        billboards.append(Billboard(self.world.person(index % 12, phase, True),
                                    self.world.point(u, 0, z), high / 2, high, Label.PEDESTRIAN,
                                    max_m=120))

    def _crossers(self, k: int, time_s: float, billboards) -> None:
        chunk, style = self.world.chunk(k), self.style
        if chunk.crossing is None:
            return
        rng = self.world.rng(80, k)
        reach = style.half_road + 2.5
        for _ in range(rng.poisson(1.5 * style.walkers)):
            index, pace = int(rng.integers(1 << 20)), rng.choice((-1, 1)) * rng.uniform(1, 1.6)
            u = (rng.uniform(0, 2 * reach) + pace * time_s) % (2 * reach) - reach
            phase = int((time_s * 0.9 * 8 + index) % 8)
            high = 1.5 + (index % 40) / 100
            billboards.append(Billboard(
                self.world.person(index % 12, phase, True),
                self.world.point(u, 0, chunk.crossing + rng.uniform(0.4, 2.4)), high / 2, high,
                Label.PEDESTRIAN, max_m=120))
