# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The houses, trees, people, vehicles and signs that one drive draws from, made when needed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np

from ubcn_ros.data.drive import people, surfaces
from ubcn_ros.data.drive.ground import CHUNK_M
from ubcn_ros.data.drive.render import Texture
from ubcn_ros.data.drive.style import ZONES, Style
from ubcn_ros.data.drive.vehicles import Vehicle


@dataclass
class House:
    """Sizes in metres and textures; ``ridge`` is above the eaves, 0 where the roof is flat."""

    width: float
    height: float
    depth: float
    ridge: float
    front: Texture
    side: Texture
    roof: Texture


class Stock:
    """Pictures and models by number, each the same for the same seed, and cached."""

    def __init__(self, seed: int, style: Style):
        self.seed, self.style = seed, style
        self.house = self.cached(Stock._house)
        self.row = self.cached(Stock._row)
        self.tree = self.cached(Stock._tree)
        self.picture = self.cached(Stock._picture)
        self.person = self.cached(Stock._person, 256)
        self.rider = self.cached(Stock._rider, 256)
        self.vehicle = self.cached(Stock._vehicle)

    def cached(self, make: Callable[..., Any], most: int | None = None) -> Callable[..., Any]:
        """
        Cache what a function makes of this object and a key.

        It does not hold the object, which would otherwise wait for the garbage collector.
        """
        return lru_cache(maxsize=most)(partial(make, weakref.proxy(self)))

    def rng(self, *key: int) -> np.random.Generator:
        """Return a generator of its own for this key (negative numbers allowed)."""
        return np.random.default_rng([self.seed, *(k % (1 << 32) for k in key)])

    def _house(self, zone: str, index: int) -> House:
        rng, style = self.rng(10, ZONES.index(zone), index), self.style
        scale = style.height_scale
        shop, pitched = False, rng.random() < 0.75
        if zone == 'shops':
            kind = ('brick', 'plaster', 'stone', 'plaster', 'concrete')[rng.integers(5)]
            width, floors, shop = rng.uniform(5, 11), int(rng.integers(2, 5)), rng.random() < 0.85
        elif zone == 'terrace':
            kind = ('brick', 'brick', 'plaster', 'stone')[rng.integers(4)]
            width, floors = rng.uniform(4.5, 7.5), int(rng.integers(2, 4))
        elif zone == 'offices':
            kind = ('concrete', 'glass', 'stone', 'brick', 'glass')[rng.integers(5)]
            width, floors, pitched = rng.uniform(12, 26), int(rng.integers(3, 8)), False
        else:
            kind = ('brick', 'plaster', 'brick', 'stone')[rng.integers(4)]
            width, floors = rng.uniform(7, 13), int(rng.integers(1, 4))
        height = floors * rng.uniform(2.7, 3.5) * scale + rng.uniform(0, 0.8)
        depth = rng.uniform(7, 12)
        front, color = surfaces.facade(rng, width, height, kind, floors, shop, style.light)
        ridge = rng.uniform(1.8, 4.0) if pitched else 0.0
        side = surfaces.side_wall(rng, depth, height + ridge, kind, color, style.light)
        return House(width, height, depth, ridge, Texture(front), Texture(side),
                     Texture(surfaces.roof(rng, style.light.base)))

    def _row(self, index: int) -> Texture:
        """Return fronts in a row, ``CHUNK_M`` wide and 14 m high, for what is seen far behind."""
        rng, scale = self.rng(14, index), surfaces.PIXELS_PER_METRE // 2
        row = np.zeros((14 * scale, int(CHUNK_M * scale), 4), np.uint8)
        x = 0
        while x < row.shape[1]:
            house = self.house('terrace', int(rng.integers(10)))
            front = house.front.level(house.width * scale, house.height * scale)
            front = cv2.resize(front, (int(house.width * scale),
                                       min(int(house.height * scale), row.shape[0])))
            front = front[:, :row.shape[1] - x]
            row[-front.shape[0]:, x:x + front.shape[1], :3] = front
            row[-front.shape[0]:, x:x + front.shape[1], 3] = 255
            x += front.shape[1] + int(rng.choice((0, 0, 3)) * scale)
        return Texture(row)

    def _tree(self, index: int) -> Texture:
        rng = self.rng(11, index)
        season = self.style.season
        if season == 'mixed':
            season = ('summer', 'autumn', 'bare')[rng.integers(3)]
        kind = season
        if rng.random() < 0.22:
            kind = ('dark', 'conifer')[rng.integers(2)]
        return Texture(people.tree(rng, kind, self.style.light.base))

    def _picture(self, kind: str, index: int) -> Texture:
        rng = self.rng(12, *kind.encode(), index)
        gain = self.style.light.base
        if kind == 'hedge':
            return Texture(surfaces.hedge(rng, gain))
        if kind == 'wall':
            return Texture(surfaces.low_wall(rng, gain))
        if kind == 'wood':
            return Texture(surfaces.hedge(rng, gain * 0.8))
        if kind in ('boards', 'railing', 'mesh'):
            return Texture(surfaces.fence(rng, kind, gain))
        if kind in ('pole', 'dark_pole', 'stripes', 'box', 'chimney'):
            tone = {'pole': (140, 142, 140), 'dark_pole': (46, 50, 50), 'stripes': (60, 60, 60),
                    'box': (70, 88, 76), 'chimney': (120, 80, 62)}[kind]
            tone = np.array(tone) * rng.uniform(0.7, 1.3)
            shade = np.array((0.85, 1.15, 1.0, 0.7))[None, :, None]
            picture = np.broadcast_to(tone * shade * gain, (24, 4, 3)).copy()
            if kind == 'stripes':
                picture[(np.arange(24) // 3) % 2 == 0] = np.array((225, 225, 220)) * gain
            return Texture(picture.clip(0, 255).astype(np.uint8))
        return Texture(surfaces.sign(rng, kind, min(gain * 1.25, 1.2)))

    def _person(self, index: int, phase: int, walking: bool) -> Texture:
        return Texture(people.pedestrian(self.seed * 31 + index, phase / 8, walking,
                                         self.style.light.base))

    def _rider(self, index: int, phase: int, view: str) -> Texture:
        return Texture(people.cyclist(self.seed * 31 + index, phase / 8, view,
                                      self.style.light.base))

    def _vehicle(self, index: int, heavy: bool) -> Vehicle:
        rng = self.rng(13, index, heavy)
        kinds = ('hatch', 'hatch', 'saloon', 'saloon', 'estate', 'van')
        kind = ('bus', 'tall_bus', 'van')[rng.integers(3)] if heavy else kinds[rng.integers(6)]
        return Vehicle(rng, kind, self.style.light)
