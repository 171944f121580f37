# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What studies measure: a model on the labelled scenes of one split, in rain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ubcn_ros.data.mixture import Data
from ubcn_ros.data.validation_rain import RENDERED
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes


def measured_rates(loaded: LoadedModel, data: Data, rates: Sequence[float], iterations: int,
                   stride: int = 1, limit: int | None = None,
                   progress: Callable[[], object] = lambda: None, rain: str = RENDERED
                   ) -> dict[str, Any]:
    """
    Measure a model by rain rate, as ``measure_scenes`` does, on the split val or the only one.

    :param rates: mm/hr.
    :param iterations: T.
    :param stride, limit: every n-th scene is taken, and so many at most.
    :param progress: called after every image and rate.
    :param rain: that falls, one of RAINS.
    :return: what ``measure_scenes`` has under 'rates'.
    :raises ValueError: no scene of the split has labels, or they are of other classes.
    """
    scenes = data.split(data.measured_split).labelled()
    if not scenes:
        raise ValueError(f'{data.sets[0].root} has no labels in {data.measured_split}: give a '
                         'data set with labels')
    return measure_scenes(loaded, scenes, range(0, len(scenes), stride)[:limit], rates,
                          iterations, progress=progress, rain=rain)['rates']
