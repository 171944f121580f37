# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figure 1 of the paper in text: ours, over the seeds, beside the paper's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ubcn_ros.study.degradation_claims import UNITS
from ubcn_ros.study.paper import FIGURE_1, FIGURE_1_LEVELS
from ubcn_ros.text_table import table


class OverSeeds(NamedTuple):
    """Mean, lowest and highest over the seeds, each (4, 4) in %, NaN where nothing is known."""

    mean: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


def over_seeds(values: np.ndarray) -> OverSeeds:
    """
    Sum up one kind of degradation.

    :param values: (4, 4) or (S, 4, 4), as of ``claims``.
    """
    values = np.asarray(values, float).reshape(-1, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of cells of which nothing is known
        return OverSeeds(np.nanmean(values, 0), np.nanmin(values, 0), np.nanmax(values, 0))


def degradations_text(tables: Mapping[str, np.ndarray]) -> str:
    """
    Lay out a table a kind, with the paper's beside it.

    Over several seeds a cell is the mean +- half of what lies between the lowest and highest.

    :param tables: as of ``claims``.
    """
    parts = []
    for kind, values in tables.items():
        levels = [f'{level:g}' for level in FIGURE_1_LEVELS[kind]]
        found = over_seeds(values)
        header = (f'{kind}, {UNITS[kind]}', *levels, *(f"paper's {level}" for level in levels))
        rows = [[f'trained at {level}', *(_cell(found, (i, j)) for j in range(4)),
                 *(f'{value:.1f}' for value in FIGURE_1[kind][i])]
                for i, level in enumerate(levels)]
        parts.append(table(header, rows))
    return '\n\n'.join(parts)


def _cell(found: OverSeeds, place: tuple[int, int]) -> str:
    if np.isnan(found.mean[place]):
        return '-'
    half = (found.highest[place] - found.lowest[place]) / 2
    return f'{found.mean[place]:.1f}' + (f' +-{half:.1f}' if half else '')
