# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Falling drops in front of a moving camera, and the streaks they draw during one exposure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubcn_ros.data.drop_sizes import LARGEST_MM, DropSizes
from ubcn_ros.data.rain_parameters import RainParameters

NEAR_M, FAR_M = 0.35, 6.0
"""Distances between which drops are drawn one by one."""
SMALLEST_DROP_MM = 1.0
"""Least diameter of those drops."""
TAU0_S = 0.681e-3  # a drop that is over a pixel for so long, or longer, covers it fully
_NEAREST_M = 0.12  # a drop is not drawn once it is closer than this to the lens
_SHELLS = 9
_PAD = 2  # cells around every level, so that splats never wrap to another row


def terminal_speed(diameter_mm: np.ndarray) -> np.ndarray:
    """Return drops' terminal speed in m/s: 9.65 - 10.3 exp(-0.6 D), D in mm (Atlas et al.)."""
    return np.maximum(9.65 - 10.3 * np.exp(-0.6 * diameter_mm), 0.1)


@dataclass(frozen=True)
class Shell:
    """A box of drops that repeats in space: rows of the field, low corner and size (3,) in m."""

    rows: slice
    low: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class DropField:
    """
    Drops in depth shells that repeat in space, so that the field never runs empty.

    Arrays are float32; axes are x right, y down, z forward.
    """

    shells: tuple[Shell, ...]
    # (N, 3), 0..1 of the shell's box at time 0
    position: np.ndarray
    # (N, 3), m/s relative to the camera
    velocity: np.ndarray
    # (N,), mm
    diameter: np.ndarray
    # (N,), factor on the opacity
    strength: np.ndarray
    # (N,), rad
    phase: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator, parameters: RainParameters, height: int, width: int
               ) -> DropField:
        """
        Fill the view with Marshall-Palmer drops.

        :param rng: generator that the drops are drawn from.
        :param parameters: what the rain looks like, of a rate above 0 mm/hr.
        :param height, width: of the images, pixels.
        """
        p, focal = parameters, parameters.focal * width
        # extent of the view to either side, up and down, per metre of distance
        side, up, down = (width / 2 / focal, p.horizon * height / focal,
                          (1 - p.horizon) * height / focal)
        # A camera that rolls sees the fall at an angle; a 2 mm drop falls at 6.5 m/s.
        sideways = p.wind_m_s[0] + 6.5 * float(np.tan(np.deg2rad(p.roll_deg)))
        margin_m = p.exposure_s * max(10.0, abs(sideways))
        edges = np.geomspace(NEAR_M, FAR_M, _SHELLS + 1)
        sizes = DropSizes(p.rate_mm_h)
        shells, diameters, first = [], [], 0
        for z0, z1 in zip(edges[:-1], edges[1:], strict=True):
            smallest = max(SMALLEST_DROP_MM, p.thinnest_mm_m * z0)
            if smallest >= LARGEST_MM:
                break
            low = np.array([-side * z1 - margin_m, -up * z1 - margin_m, z0])
            size = np.array([2 * (side * z1 + margin_m), (up + down) * z1 + 2 * margin_m, z1 - z0])
            expected = sizes.count_above(smallest) * size.prod() * p.density_gain
            n = int(rng.poisson(expected))
            diameters.append(sizes.quantiles(rng.random(n, np.float32), smallest))
            shells.append(Shell(slice(first, first + n), low.astype(np.float32),
                                size.astype(np.float32)))
            first += n
        diameter = np.concatenate(diameters) if diameters else np.zeros(0, np.float32)
        velocity = p.turbulence_m_s * rng.standard_normal((first, 3), np.float32)
        velocity += np.array([sideways, 0, p.wind_m_s[1] - p.speed_m_s], np.float32)
        velocity[:, 1] += terminal_speed(diameter)
        strength = np.exp(np.float32(p.unevenness) * rng.standard_normal(first, np.float32))
        phase = np.float32(2 * np.pi) * rng.random(first, np.float32)
        return cls(tuple(shells), rng.random((first, 3), np.float32), velocity, diameter,
                   strength, phase)

    def at(self, time_s: float) -> np.ndarray:
        """Return the positions (N, 3), metres in camera axes, at a time in seconds."""
        result = np.empty_like(self.position)
        for shell in self.shells:
            place = self.position[shell.rows]
            if time_s:
                # In double precision: after an hour float32 would be off by millimetres.
                place = place + self.velocity[shell.rows] * (time_s / np.float64(shell.size))
                place -= np.floor(place)
            result[shell.rows] = shell.low + shell.size * place.astype(np.float32)
        return result


def draw_streaks(field: DropField, parameters: RainParameters, height: int, width: int,
                 time_s: float, present: np.ndarray | bool = True) -> np.ndarray:
    """
    Draw all streaks of one exposure.

    Both ends of each drop's path are projected, so streaks converge at the focus of expansion by
    themselves. A streak's strength is tau1 / tau0 with tau1 = T w / (L + w), T the exposure, or
    the part of it before the drop is too near, w and L its width and length in pixels. The lens
    is focused at infinity: its aperture widens near streaks and thins them by as much.

    :param field: the drops.
    :param parameters: what the rain looks like.
    :param height, width: of the image, pixels.
    :param time_s: when the shutter opens, seconds since the field's start.
    :param present: (N,) bool, which drops are there; True for all.
    :return: optical thickness x, (H, W) float32, 0 or more; a share of 1 - exp(-x) is covered.
    """
    p = parameters
    start = field.at(time_s)
    z0 = start[:, 2]
    keep = np.flatnonzero((z0 > _NEAREST_M) & (field.diameter > p.thinnest_mm_m * z0) & present)
    start, z0, velocity = start[keep], z0[keep], field.velocity[keep]
    # Left out, drops that come too near would leave a fast camera with less rain.
    approach = np.maximum(velocity[:, 2] * -p.exposure_s, np.float32(1e-6))
    share = np.minimum((z0 - np.float32(_NEAREST_M)) / approach, 1)  # of the exposure
    end = start + velocity * (share * np.float32(p.exposure_s))[:, None]
    z1 = end[:, 2]
    f, centre_u, centre_v = np.float32(p.focal * width), width / 2, p.horizon * height
    u0, v0 = f * start[:, 0] / z0 + centre_u, f * start[:, 1] / z0 + centre_v
    u1, v1 = f * end[:, 0] / z1 + centre_u, f * end[:, 1] / z1 + centre_v
    # Pixels per millimetre: squared, the mean over the time that the path takes.
    scale = f * 1e-3 / np.sqrt(z0 * z1)
    drop = field.diameter[keep] * p.width_gain * scale
    blur = np.hypot(drop, p.aperture_mm * scale)
    margin = blur + 1
    keep2 = np.flatnonzero(
        (np.maximum(u0, u1) > -margin) & (np.minimum(u0, u1) < width + margin)
        & (np.maximum(v0, v1) > -margin) & (np.minimum(v0, v1) < height + margin))
    u0, v0, u1, v1, drop, blur, share = (
        a[keep2] for a in (u0, v0, u1, v1, drop, blur, share))
    keep = keep[keep2]
    length = np.hypot(u1 - u0, v1 - v0)
    alpha = np.minimum(p.exposure_s / TAU0_S * share * drop / (length + drop), 1.0)
    # Area that the streak covers, in pixels, weighted by how much it covers.
    mass = p.streak_gain * field.strength[keep] * alpha * drop * (length + drop)
    # A falling drop oscillates, its streak is mottled: 375 / D^1.5 Hz, D in mm, within 9 % of
    # Rayleigh's law for water.
    turns = p.exposure_s * 1070.0 * share / np.maximum(field.diameter[keep], 1) ** 1.5 * 0.35
    return _splat(u0, v0, u1, v1, blur, mass, field.phase[keep], turns, height, width)


def _splat(u0, v0, u1, v1, width, mass, phase, turns, height, image_width) -> np.ndarray:
    """
    Sum all streaks, each on the two levels of a pyramid between which its width lies.

    A streak is walked cell by cell along its longer axis and shared between the two nearest
    cells of the shorter one: two additions per cell, smooth edges, exact ends. That, and the
    enlargement of the level, spread it: its mass is split so that the cross-section has the
    variance of its width, or the least there is for those below 1.4 pixels.
    """
    count = 2 + int(np.log2(max(width.max(initial=0), 2.0) / 2).clip(0))
    spread = _spread(count)
    variance = np.clip(width * width / 12, spread[0], spread[-1])
    level = np.searchsorted(spread[1:-1], variance, 'right').astype(np.int32)
    coarse = (variance - spread[level]) / (spread[level + 1] - spread[level])
    split = np.flatnonzero(coarse)
    fine, coarse = mass * (1 - coarse), (mass * coarse)[split]
    u0, v0, u1, v1, width, phase, turns = (
        np.concatenate((a, a[split])) for a in (u0, v0, u1, v1, width, phase, turns))
    mass, level = np.concatenate((fine, coarse)), np.concatenate((level, level[split] + 1))
    cells = 1 << np.arange(count)
    rows, cols = -(-height // cells) + 2 * _PAD, -(-image_width // cells) + 2 * _PAD
    starts = np.concatenate([[0], np.cumsum(rows * cols)]).astype(np.int32)

    scale = (1.0 / cells).astype(np.float32)[level]
    u0, v0, u1, v1 = (a * scale + np.float32(_PAD - 0.5) for a in (u0, v0, u1, v1))
    du, dv = u1 - u0, v1 - v0
    steep = np.abs(dv) >= np.abs(du)
    columns, limits_u, limits_v = (a.astype(np.int32)[level] for a in (cols, cols, rows))
    # a: longer axis, b: shorter axis; from low a to high a.
    a0, b0 = np.where(steep, v0, u0), np.where(steep, u0, v0)
    da, db = np.where(steep, dv, du), np.where(steep, du, dv)
    stride_a, stride_b = np.where(steep, columns, 1), np.where(steep, 1, columns)
    limit_a = np.where(steep, limits_v, limits_u)
    limit_b = np.where(steep, limits_u, limits_v)
    slope = db / np.where(np.abs(da) < 1e-6, np.float32(1e-6), da)
    slope = np.clip(slope, -1, 1)
    # Round ends: a streak is at least as long as it is wide, so a still drop is a dot.
    reach = 0.5 * np.maximum(np.abs(da) + width * scale, 1.0)
    middle = a0 + 0.5 * da
    low, high = middle - reach, middle + reach
    first = np.maximum(np.rint(low), 0).astype(np.int32)
    last = np.minimum(np.rint(high).astype(np.int32), limit_a - 1)
    count = np.maximum(last - first + 1, 0)
    mass = mass * scale * scale / (2 * reach)

    owner = np.repeat(np.arange(len(count), dtype=np.int32), count)
    a = np.arange(len(owner), dtype=np.int32) + (first - (np.cumsum(count) - count))[owner]
    af = a.astype(np.float32)
    b = (b0 + 0.5 * db)[owner] + slope[owner] * (af - middle[owner])
    weight = np.minimum(af + 0.5, high[owner]) - np.maximum(af - 0.5, low[owner])
    weight *= mass[owner]
    turn = (np.float32(2 * np.pi) * turns / (2 * reach))
    weight *= 1 + np.float32(0.5) * np.cos(phase[owner] + turn[owner] * (af - low[owner]))
    ib = np.floor(b).astype(np.int32)
    b -= ib
    inside = (ib >= 0) & (ib < limit_b[owner] - 1)
    weight *= inside & (weight > 0)
    index = starts[level[owner]] + a * stride_a[owner] + np.where(inside, ib, 0) * stride_b[owner]
    size = int(starts[-1])
    sums = np.bincount(index, weight * (1 - b), size)[:size]
    # The clamp only meets entries of weight zero.
    index += stride_b[owner]
    sums += np.bincount(np.minimum(index, size - 1), weight * b, size)[:size]

    return _sum_levels(sums, starts, rows, cols, (height, image_width))


def _spread(levels: int) -> np.ndarray:
    """Return the variance across a thin line that is drawn on each level, in pixels squared."""
    cells = 2.0 ** np.arange(levels)
    shared = cells ** 2 / 6  # between two cells, and once more where a level is enlarged
    return np.where(cells > 1, 2 * shared, shared)


def _sum_levels(sums: np.ndarray, starts: np.ndarray, rows: np.ndarray, cols: np.ndarray,
                size: tuple[int, int]) -> np.ndarray:
    """Enlarge the pyramid's levels, which lie one after the other, and add them up."""
    height, width = size
    total = np.zeros(size, np.float32)
    for k in range(len(rows)):
        cell = 1 << k
        grid = sums[starts[k]:starts[k + 1]].reshape(rows[k], cols[k]).astype(np.float32)
        pad = _PAD * cell
        if k and grid.any():
            grid = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
        if k == 0 or len(grid) > rows[k]:
            total += grid[pad:pad + height, pad:pad + width]
    return total
