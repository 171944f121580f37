# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Count the share of the pixels that each class has."""

from __future__ import annotations

import numpy as np

from ubcn_ros.data.scenes import Scene, SceneList
from ubcn_ros.evenly import evenly
from ubcn_ros.stopping import map_in_threads


def pixel_shares(scenes: SceneList, at_most: int = 400) -> np.ndarray:
    """
    Count the pixels of each class.

    :param scenes: with a label set.
    :param at_most: so many of the labelled scenes are read, spread evenly over all.
    :return: (K,) float64, of the pixels that have a class; all 0 where none has.
    :raises DataSetError: labels cannot be read.
    """
    chosen = evenly(scenes.labelled().scenes, at_most)
    pixels = sum(map_in_threads(_pixels, chosen), np.zeros(256, np.int64))
    pixels = pixels[:scenes.label_set.num_classes]
    return pixels / max(1, pixels.sum())


def _pixels(scene: Scene) -> np.ndarray:
    """Count the pixels of every id, (256,)."""
    return np.bincount(scene.labels().ravel(), minlength=256)
