# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Paints one chunk of ground: carriageway, markings, kerbs, pavements, junctions, gardens."""

from __future__ import annotations

import numpy as np

from ubcn_ros.data.drive.ground import CHUNK_M, HALF_WIDTH_M, GroundMap
from ubcn_ros.data.drive.render import Label

_WHITE, _YELLOW = (212, 212, 206), (206, 176, 70)


def paint_ground(world, k: int) -> GroundMap:
    """Return the finished ground of chunk k of a :class:`ubcn_ros.data.drive.world.World`."""
    style, rng, chunk = world.style, world.rng(20, k), world.chunk(k)
    ground = GroundMap(rng)
    road, edge, end = style.half_road, style.edge, CHUNK_M
    kerb = tuple(np.array(style.paving) * 0.9 + 14)
    ground.fill(-road, road, 0, end, style.asphalt, Label.ROAD)
    if rng.random() < 0.5:
        z = rng.uniform(0, end)
        ground.darken(-road, road, z, end, rng.uniform(0.82, 1.15))
    for side in (-1, 1):
        def fill(u0, u1, color, label, z0=0.0, z1=end, side=side):
            ground.fill(min(side * u0, side * u1), max(side * u0, side * u1), z0, z1, color, label)

        zone = world.zone(k, side)
        inner = road + 0.15
        fill(road, inner, kerb, Label.SIDEWALK)
        if style.verge:
            fill(inner, inner + style.verge, style.grass, Label.TREE)
        fill(inner + style.verge, edge, style.paving, Label.SIDEWALK)
        if zone in ('park', 'villas', 'estate'):
            fill(edge, HALF_WIDTH_M, style.grass, Label.TREE)
        else:
            fill(edge, HALF_WIDTH_M, np.array(style.paving) * 0.85, Label.SIDEWALK)
        if zone in ('villas', 'estate', 'terrace'):
            for _ in range(rng.poisson(2)):  # garden paths and drives
                z = rng.uniform(0, end)
                fill(edge, HALF_WIDTH_M, np.array(style.paving) * rng.uniform(0.7, 1.1),
                     Label.SIDEWALK, z, z + rng.uniform(1, 3.5))
        if style.cycle_lane:
            fill(road - style.parking - 1.4, road - style.parking, style.cycle_lane, None)
        _slabs(ground, rng, side, inner + style.verge, edge)
        if chunk.junction and side in chunk.junction[2]:
            a, b = chunk.junction[0] - k * CHUNK_M, chunk.junction[1] - k * CHUNK_M
            fill(road, HALF_WIDTH_M, style.asphalt, Label.ROAD, a, b)
            for flare in range(1, 12):  # rounded corners
                reach = (1 - np.sqrt(1 - (1 - flare / 12) ** 2)) * 3
                fill(road, road + flare * 0.25, style.asphalt, Label.ROAD, a - reach, b + reach)
            for z in np.arange(a, b, 0.6):
                fill(road + 0.05, road + 0.2, _WHITE, None, z, z + 0.35)
    _markings(world, ground, rng, k)
    _wear(ground, rng, road)
    light = style.light
    flat = light.gain((0.0, -1.0, 0.0))
    shadow = world.cast_shadows(k)
    ground.finish(flat, shadow, 1 - light.ambient / max(flat, 1e-3))
    return ground


def _slabs(ground: GroundMap, rng, side: int, inner: float, outer: float) -> None:
    if rng.random() < 0.55:
        return
    for z in np.arange(0, CHUNK_M, 0.6):
        ground.darken(min(side * inner, side * outer), max(side * inner, side * outer), z,
                      z + 0.05, 0.8)
    for u in np.arange(inner, outer, 0.6):
        ground.darken(min(side * u, side * u + side * 0.05),
                      max(side * u, side * u + side * 0.05), 0, CHUNK_M, 0.8)


def _markings(world, ground: GroundMap, rng, k: int) -> None:
    style, chunk = world.style, world.chunk(k)
    road, lane = style.half_road, style.lane
    fixed = world.rng(21)
    wear = fixed.uniform(0.6, 1.05)
    white, yellow = np.array(_WHITE) * wear, np.array(_YELLOW) * wear
    dash, gap, wide = fixed.uniform(1.5, 5), fixed.uniform(2, 6), fixed.uniform(0.1, 0.17)
    has_center, double = fixed.random() < 0.88, fixed.random() < 0.2
    zigzag = chunk.crossing is not None and fixed.random() < 0.6

    def dashed(u, dash, gap):
        phase = (k * CHUNK_M) % (dash + gap)
        for z in np.arange(-phase, CHUNK_M, dash + gap):
            ground.fill(u - wide / 2, u + wide / 2, z, z + dash, white, None)

    if has_center:
        if double:
            ground.fill(-0.2, -0.08, 0, CHUNK_M, white, None)
            ground.fill(0.08, 0.2, 0, CHUNK_M, white, None)
        else:
            dashed(0.0, dash, gap)
    for i in range(1, style.lanes):
        dashed(i * lane, 2.0, 4.0)
        dashed(-i * lane, 2.0, 4.0)
    lines = fixed.integers(4)
    for side in (-1, 1):
        if lines < 2 and not style.parking:  # no waiting
            for u in (road - 0.25, road - 0.45)[: lines + 1]:
                ground.fill(side * u - 0.05, side * u + 0.05, 0, CHUNK_M, yellow, None)
        elif style.cycle_lane or lines == 2:
            u = side * (road - style.parking - (1.4 if style.cycle_lane else 0.15))
            dashed(u, 1.5, 1.5)
    if chunk.crossing is not None:
        _crossing(world, ground, k, white, zigzag)
    if rng.random() < 0.3:  # an arrow in our lane
        u, z = style.our_side * lane / 2, rng.uniform(4, 40)
        ground.fill(u - 0.08, u + 0.08, z, z + 3, white, None)
        for i in range(14):
            reach = 0.5 * (1 - i / 14)
            ground.fill(u - reach, u + reach, z + 3 + i * 0.1, z + 3.1 + i * 0.1, white, None)
    if rng.random() < 0.2:  # hatching along the middle
        z = rng.uniform(0, 20)
        for i in range(8):
            ground.line([(-0.5, z + i * 2.2), (0.5, z + 1 + i * 2.2)], tuple(white.tolist()), 0.15)


def _crossing(world, ground: GroundMap, k: int, white: np.ndarray, zigzag: bool) -> None:
    style, road = world.style, world.style.half_road
    z = world.chunk(k).crossing - k * CHUNK_M
    if world.rng(22, k).random() < 0.6:
        for u in np.arange(-road + 0.3, road - 0.3, 1.1):
            ground.fill(u, u + 0.55, z, z + 2.8, white, None)
    else:
        for u in np.arange(-road, road, 0.5):
            for line in (z, z + 2.8):
                ground.fill(u, u + 0.25, line, line + 0.15, white, None)
    for side, at in ((style.our_side, z - 1.6), (-style.our_side, z + 4.3)):
        u0, u1 = (0, side * (road - style.parking))
        ground.fill(min(u0, u1), max(u0, u1), at, at + 0.25, white, None)
    if zigzag:
        for u in (0.35, -0.35, road - 0.4, 0.4 - road):
            points = [(u + 0.22 * (-1) ** i, z + 5 + 1.6 * i) for i in range(6)]
            ground.line(points, tuple(white.tolist()), 0.1)


def _wear(ground: GroundMap, rng, road: float) -> None:
    """Add patches, cracks, covers and tyre tracks."""
    for _ in range(rng.poisson(3)):
        u, z = rng.uniform(-road, road - 1), rng.uniform(0, CHUNK_M)
        ground.darken(u, u + rng.uniform(0.5, 2.2), z, z + rng.uniform(0.6, 9),
                      rng.uniform(0.78, 1.18))
    for _ in range(rng.poisson(2)):
        u, z = rng.uniform(-road, road), rng.uniform(0, CHUNK_M)
        ground.fill(u, u + 0.6, z, z + 0.6, (58, 58, 58), None)
    for _ in range(rng.poisson(1.5)):
        u, z, points = rng.uniform(-road, road), rng.uniform(0, CHUNK_M), []
        for _ in range(12):
            points.append((u, z))
            u, z = np.clip(u + rng.normal(0, 0.3), -road, road), z + rng.uniform(0.1, 0.9)
        ground.line(points, (56, 56, 58), 0.05)
    for u in (-0.25, 0.25):
        ground.darken(u * road * 2 - 0.35, u * road * 2 + 0.35, 0, CHUNK_M, 0.95)
