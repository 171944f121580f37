# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figure 1 of the paper as heat maps and as curves: ours above, the paper's below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ubcn_ros.data.degradations import UNITS
from ubcn_ros.images.fonts import in_matplotlib
from ubcn_ros.study.degradation_claims import OverSeeds, over_seeds
from ubcn_ros.study.paper import FIGURE_1, FIGURE_1_LEVELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TOP = 80.0  # mIoU in % of the brightest colour
_PAPER = "the paper's figure 1 (PSPNet, read off, +-0.3)"


def heat_maps(tables: Mapping[str, np.ndarray], title: str) -> Figure:
    """
    Draw a map a kind in the paper's layout: level of training down, of the test across.

    :param tables: as of ``claims``.
    :param title: of our row.
    """
    return _two_rows(tables, title, _heat_map, 'bold: best of the column')


def curves(tables: Mapping[str, np.ndarray], title: str) -> Figure:
    """
    Draw mIoU against the level of the test, a line a level of training, with the seeds' range.

    :param tables, title: as of ``heat_maps``.
    """
    return _two_rows(tables, title, _lines, 'filled marker: tested at the level of training')


def _two_rows(tables: Mapping[str, np.ndarray], title: str,
              draw: Callable[[Axes, str, OverSeeds], None], legend: str) -> Figure:
    from matplotlib.figure import Figure  # not pyplot: no display is touched
    kinds = [kind for kind in FIGURE_1_LEVELS if kind in tables]
    figure = Figure(figsize=(3.2 * max(2, len(kinds)), 7.2), layout='constrained')
    rows = figure.subfigures(2, 1)
    for row, name, values in zip(rows, (title, _PAPER), (tables, FIGURE_1), strict=True):
        drawn, families = in_matplotlib(f'mIoU in %, {name}')
        row.suptitle(drawn, fontsize=10, family=families, parse_math=False)
        for axes, kind in zip(row.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
            draw(axes, kind, over_seeds(values[kind]))
            axes.set_title(kind, fontsize=10)
            axes.set_xticks(range(4), [f'{level:g}' for level in FIGURE_1_LEVELS[kind]])
            axes.set_xlabel(f'tested at, {UNITS[kind]}')
    figure.supxlabel(legend, fontsize=8)
    return figure


def _heat_map(axes: Axes, kind: str, found: OverSeeds) -> None:
    axes.imshow(found.mean, vmin=0, vmax=_TOP, cmap='viridis', aspect='auto')
    for i, j in np.ndindex(4, 4):
        value = found.mean[i, j]
        if np.isnan(value):
            continue
        best = not (found.mean[:, j] > value).any()
        axes.text(j, i, f'{value:.1f}', ha='center', va='center', fontsize=9,
                  weight='bold' if best else 'normal',
                  color='black' if value > 0.55 * _TOP else 'white')
    axes.set_yticks(range(4), [f'{level:g}' for level in FIGURE_1_LEVELS[kind]])
    axes.set_ylabel('trained at')


def _lines(axes: Axes, kind: str, found: OverSeeds) -> None:
    places = np.arange(4)
    for i, level in enumerate(FIGURE_1_LEVELS[kind]):
        (line,) = axes.plot(places, found.mean[i], marker='o', markerfacecolor='white',
                            label=f'trained at {level:g}')
        axes.fill_between(places, found.lowest[i], found.highest[i], alpha=0.2,
                          color=line.get_color(), linewidth=0)
        axes.plot(i, found.mean[i, i], marker='o', color=line.get_color())
    axes.set_ylim(0, 85)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
