# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of matplotlib as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ubcn_ros.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
