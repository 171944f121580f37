# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of matplotlib as files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ubcn_ros.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REST = 'rest'
"""The stage of ``stacked_bars`` that is grey."""
_COLORS = 10  # of matplotlib's cycle


def save_plot(path: Path, figure: Figure, dpi: float = 100) -> None:
    """
    Write a figure in the format of the path's suffix, whole or not at all, and its folder.

    The same figure is the same PDF, whose letters are TrueType, as printers and publishers want.

    :raises ValueError: the suffix is not that of a picture.
    :raises OSError: the file cannot be written.
    """
    import matplotlib
    kind = path.suffix[1:].lower()
    data = io.BytesIO()
    with matplotlib.rc_context({'pdf.fonttype': 42}):
        figure.savefig(data, format=kind, dpi=dpi,
                       metadata={'CreationDate': None} if kind == 'pdf' else None)
    write_whole(path, data.getvalue())


def stacked_bars(path: Path, bars: Sequence[tuple[str, Mapping[str, float | None]]], xlabel: str
                 ) -> None:
    """
    Draw a bar for each thing that was timed, divided into its stages, the first at the top.

    :param path: of a PNG, PDF or SVG file, which may exist.
    :param bars: titles, which may be the same, and the times of their stages, in milliseconds;
        None where there is none.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(9, 1.4 + 0.7 * len(bars)), layout='constrained')
    axes = figure.add_subplot()
    places, left = range(len(bars)), [0.0] * len(bars)
    for n, stage in enumerate(dict.fromkeys(stage for _, times in bars for stage in times)):
        widths = [times.get(stage) or 0.0 for _, times in bars]
        axes.barh(places, widths, left=left, label=stage, edgecolor='white',
                  color='lightgrey' if stage == REST else f'C{n % _COLORS}',
                  hatch='//' if n >= _COLORS and stage != REST else None)
        left = [sum(both) for both in zip(left, widths, strict=True)]
    axes.set_yticks(places, [title for title, _ in bars], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=6, fontsize='small', frameon=False)
    save_plot(path, figure, dpi=150)
