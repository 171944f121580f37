# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What studies measure on: the scenes of one split."""

from __future__ import annotations

from ubcn_ros.data.mixture import Data
from ubcn_ros.data.resizing import shrunk
from ubcn_ros.data.scenes import SceneList


def labelled_scenes(data: Data, split: str | None = None) -> SceneList:
    """
    Return the scenes of a split; by default val, or the only one.

    :raises ValueError: none has labels.
    """
    scenes = data.split(split or data.measured_split)
    if not scenes.labelled():
        raise ValueError(f'{scenes.name} has no labels to compare with: give a data set that has '
                         'them; photographs in rain are for ubcn study real-rain')
    return scenes


def tested_scenes(data: Data, short_side: int) -> SceneList:
    """
    Return the labelled scenes that networks are tested on which a study trains: the split val.

    :param short_side: pixels, what the recipe shrinks images to that it trains on; 0 for none.
    :raises ValueError: there is none, or none has labels.
    """
    if 'val' not in data.splits:
        raise ValueError(f'{" and ".join(found.name for found in data.sets)} has no split val: '
                         'networks would be tested on what they are trained on: give a data set '
                         'that has one')
    return shrunk(labelled_scenes(data, 'val').labelled(), short_side)
