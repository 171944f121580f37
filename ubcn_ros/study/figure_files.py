# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures at print quality: a PNG of 300 dpi and a PDF with its fonts in it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ubcn_ros.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300


def save_figure(figure: Figure, out: Path, name: str) -> list[Path]:
    """
    Write OUT/NAME.png and OUT/NAME.pdf, each whole or not at all.

    :return: their paths.
    :raises OSError: one cannot be written.
    """
    import matplotlib
    paths = []
    # letters as TrueType, which printers and publishers take; the same figure is the same file
    with matplotlib.rc_context({'pdf.fonttype': 42}):
        for kind, metadata in (('png', {}), ('pdf', {'CreationDate': None})):
            data = io.BytesIO()
            figure.savefig(data, format=kind, dpi=DPI, metadata=metadata)
            paths.append(out / f'{name}.{kind}')
            write_whole(paths[-1], data.getvalue())
    return paths
