# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture of where the time of a frame goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def draw_stages(path: Path, streams: Mapping[str, Mapping[str, Mapping[str, float | None]]]
                ) -> None:
    """
    Draw the median of each stage, in the order of a frame's way, a bar for each stream.

    :param path: of a PNG, PDF or SVG file, which may exist.
    :param streams: title -> stage -> 'p50' in milliseconds.
    """
    from matplotlib.figure import Figure
    figure = Figure(figsize=(9, 1.4 + 0.7 * len(streams)), layout='constrained')
    axes = figure.add_subplot()
    stages = list(dict.fromkeys(stage for times in streams.values() for stage in times))
    for row, times in enumerate(streams.values()):
        left = 0.0
        for number, stage in enumerate(stages):
            width = times.get(stage, {}).get('p50') or 0.0
            axes.barh(row, width, left=left, color=f'C{number % 10}', edgecolor='white',
                      hatch='//' if number >= 10 else None, label=stage if row == 0 else None)
            left += width
    axes.set_yticks(range(len(streams)), list(streams))
    axes.invert_yaxis()
    axes.set_xlabel('median of each stage, ms')
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=7, fontsize='small', frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
