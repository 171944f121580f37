# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What studies measure: PSNR, SSIM and mIoU by rain rate, on the scenes of one split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ubcn_ros.data.mixture import Data
from ubcn_ros.data.resizing import shrunk
from ubcn_ros.data.scenes import SceneList

MEASURES = (('psnr', 'PSNR dB', 2), ('ssim', 'SSIM', 3), ('miou', 'mIoU %', 1))
"""Figures of quality: key, heading and digits."""


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


def by_step(rates: Mapping[str, Any]) -> list[dict[str, dict[str, float | None]]]:
    """
    Return {rate: {'psnr': dB, 'ssim': 0..1, 'miou': %}} of every step of the loop, T = 1 first.

    :param rates: as ``measure_scenes`` has them under 'rates'.
    """
    count = len(next(iter(rates.values()))['steps'])
    return [{rate: {key: entry['steps'][t][key] for key, _, _ in MEASURES}
             for rate, entry in rates.items()} for t in range(count)]


def difference(after: float | None, before: float | None) -> float | None:
    """Return what a figure has gained; None where one is not known, or both are infinite."""
    if after is None or before is None or math.isnan(after - before):
        return None
    return after - before


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of those that are known; None where there are none, or infinite ones of both signs."""
    known = [value for value in values if value is not None]
    found = sum(known) / len(known) if known else math.nan
    return None if math.isnan(found) else found
