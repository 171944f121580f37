# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures at print quality: a PNG of 300 dpi and a PDF with its fonts in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ubcn_ros.images.plots import save_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300


def save_figure(figure: Figure, out: Path, name: str) -> list[Path]:
    """
    Write OUT/NAME.png and OUT/NAME.pdf, each whole or not at all.

    :return: their paths.
    :raises OSError: one cannot be written.
    """
    paths = [out / f'{name}.{kind}' for kind in ('png', 'pdf')]
    for path in paths:
        save_plot(path, figure, DPI)
    return paths
