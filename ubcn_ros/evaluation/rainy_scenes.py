# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes in the validation rain, rendered ahead of the network that is measured on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ubcn_ros.data.resizing import resized
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.validation_rain import rainy_view
from ubcn_ros.training.prerender import rendered_ahead


class RainyScene(NamedTuple):
    """
    A scene at all rates.

    :param index: of the scene, the seed of its rain.
    :param image: (H, W, 3) uint8 RGB, dry.
    :param ids: (H, W) uint8 ids of the scenes' classes and groups.
    :param views: (H, W, 3) uint8 RGB of every rate.
    """

    index: int
    image: np.ndarray
    ids: np.ndarray
    views: list[np.ndarray]


def rainy_scenes(scenes: SceneList, indices: Sequence[int], rates: Sequence[float],
                 size: tuple[int, int] | None, rain: str, workers: int) -> Iterator[RainyScene]:
    """
    Return scenes in the order of their indices.

    :param rates: mm/hr, 0..300.
    :param size: (width, height) to which they are resized before rain falls; None: as they are.
    :param rain: one of RAINS.
    :param workers: processes that render, 0 to render in this one.
    :raises DataSetError: a file cannot be read.
    """
    return rendered_ahead(partial(_rainy_scene, scenes, rates, size, rain), indices, workers)


def _rainy_scene(scenes: SceneList, rates: Sequence[float], size: tuple[int, int] | None,
                 rain: str, index: int) -> RainyScene:
    frame = scenes.scenes[index].read()
    image, ids, depth, _ = frame if size is None else resized(frame, *size)
    return RainyScene(index, image, ids, [
        rainy_view(image, ids, scenes, rate, index, depth, rain) for rate in rates])
