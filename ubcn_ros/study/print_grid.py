# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Figures for print: panels in a grid with headings, captions and keys, as PNG and PDF.

Everything lies on pixels of 300 dpi, so that panels are printed as they are, none scaled again;
a PDF is no larger for larger images.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ubcn_ros.images.fonts import in_matplotlib
from ubcn_ros.images.plots import save_plot
from ubcn_ros.study.print_cells import Panel, error_colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300
PAPER_WIDTH = 7.0
"""Inches, of a page with two columns; one of them has 3.3."""
PAGE_HEIGHT = 9.0
"""Inches, of the same page."""

_GAP, _GROUP_GAP, _LABEL, _LINE = 10, 32, 44, 36  # pixels
_HEADING_POINTS, _CAPTION_POINTS, _LEAST_POINTS = 7.0, 6.0, 4.5
_INSET_SHARE, _FRAME = 0.42, '#ffd400'
_PIXELS_PER_POINT = DPI / 72


@dataclass(frozen=True)
class Scale:
    """A cell with the scale of error maps, from 0 to ``highest``."""

    text: str
    highest: float


@dataclass(frozen=True)
class ColorKey:
    """A cell with the meaning of colours: names and RGB."""

    entries: Sequence[tuple[str, tuple[int, int, int]]]


@dataclass(frozen=True)
class Row:
    """
    Cells from left to right, None for an empty one.

    :param label: at the left, turned by 90 degrees, also beside following rows without one.
    :param apart: from the rows above.
    """

    cells: Sequence[Panel | Scale | ColorKey | None]
    label: str = ''
    apart: bool = False


@dataclass
class Grid:
    """
    A figure.

    The panels of a row have one aspect, or those of a column have.

    :param columns: headings.
    :param column_groups: heading and number of columns of each group; none for no groups.
    :param legend: names and RGB of classes, listed below.
    :param width: inches.
    """

    rows: Sequence[Row]
    columns: Sequence[str]
    column_groups: Sequence[tuple[str, int]] = ()
    legend: Sequence[tuple[str, tuple[int, int, int]]] = ()
    width: float = PAPER_WIDTH

    def __post_init__(self) -> None:
        """Give every column and row its pixels."""
        if not self.rows or not self.columns:
            raise ValueError('a figure needs at least one row and one column')
        starts = [*itertools.accumulate(count for _, count in self.column_groups)][:-1]
        gaps = [_GROUP_GAP if i in starts else _GAP for i in range(1, len(self.columns))]
        left = _LABEL if any(row.label for row in self.rows) else 0
        free = round(self.width * DPI) - left - sum(gaps)
        widths, heights = self._proportions()
        scale = free / sum(widths)
        self._widths = [int(scale * each) for each in widths]
        self._heights = [round(scale * each) for each in heights]
        self._lefts = [left]
        for width, gap in zip(self._widths, gaps, strict=False):
            self._lefts.append(self._lefts[-1] + width + gap)

    def _proportions(self) -> tuple[list[float], list[float]]:
        """Return relative widths of the columns and heights of the rows."""
        aspects = np.full((len(self.rows), len(self.columns)), np.nan)
        for r, row in enumerate(self.rows):
            for c, cell in enumerate(row.cells):
                if isinstance(cell, Panel):
                    aspects[r, c] = cell.size[0] / cell.size[1]
        logs = np.log(aspects)
        if np.nanmax(np.nanmax(logs, 1) - np.nanmin(logs, 1)) < 1e-3:  # of each row
            return [1.0] * len(self.columns), list(1 / np.nanmean(aspects, 1))
        return list(np.nanmean(aspects, 0)), [1.0] * len(self.rows)

    def letters(self) -> tuple[float, float]:
        """
        Return the size of captions and of headings, points.

        :raises ValueError: one has no room.
        """
        captions = [(cell.caption, room) for row in self.rows for cell, room in zip(
            row.cells, self._widths, strict=True) if isinstance(cell, Panel)]
        return (fitting(_CAPTION_POINTS, captions, bold=True),
                fitting(_HEADING_POINTS, [*zip(self.columns, self._widths, strict=True)]))

    def figure(self) -> Any:
        """
        Draw all of it on a matplotlib Figure.

        :raises ValueError: as of ``letters``.
        """
        from matplotlib.figure import Figure  # not pyplot: no display is touched
        width = round(self.width * DPI)
        figure = Figure((self.width, 1), dpi=DPI)
        figure.suppressComposite = True  # each panel by itself: masks stay palettes in a PDF
        axes = figure.add_axes((0, 0, 1, 1))
        captions = [[cell.caption if isinstance(cell, Panel) else '' for cell in row.cells]
                    for row in self.rows]
        points, heading_points = self.letters()
        pen = _Pen(axes, points)
        top = self._draw_headings(pen, heading_points)
        ends = []
        for row, texts, height in zip(self.rows, captions, self._heights, strict=True):
            if ends and row.apart:
                top += _GROUP_GAP - _GAP
            for left, room, cell, text in zip(self._lefts, self._widths, row.cells, texts,
                                              strict=True):
                _draw_cell(pen, cell, (left, top, room, height))
                pen.text(left + room / 2, top + height + _LINE / 2, text,
                         bold=bool(text) and cell.bold)
            ends.append((row.label, top, top + height))
            top += height + _GAP + (_LINE if any(itertools.chain(*captions)) else 0)
        self._draw_labels(pen, ends)
        top = pen.legend(self.legend, top + _GAP, width) if self.legend else top
        height = top + 4
        figure.set_size_inches(self.width, height / DPI)
        axes.set(xlim=(0, width), ylim=(height, 0), aspect='auto')
        axes.set_axis_off()
        return figure

    def _draw_headings(self, pen: _Pen, points: float) -> int:
        top, column = 4, 0
        if self.column_groups:
            for text, count in self.column_groups:
                left, last = self._lefts[column], column + count - 1
                right = self._lefts[last] + self._widths[last]
                text = shortened(text, right - left, _HEADING_POINTS, bold=True)
                pen.text((left + right) / 2, top + _LINE / 2, text, _HEADING_POINTS, bold=True)
                column += count
            top += _LINE + 4
        for text, left, room in zip(self.columns, self._lefts, self._widths, strict=True):
            pen.text(left + room / 2, top + _LINE / 2, text, points)
        return top + _LINE + 4

    @staticmethod
    def _draw_labels(pen: _Pen, ends: Sequence[tuple[str, int, int]]) -> None:
        """Write each group's label beside all of its rows."""
        spans: list[tuple[str, int, int]] = []
        for label, top, bottom in ends:
            if label or not spans:
                spans.append((label, top, bottom))
            else:
                spans[-1] = (*spans[-1][:2], bottom)
        spans = [span for span in spans if text_width(span[0], _HEADING_POINTS)]
        points = max(_LEAST_POINTS, min(
            [_HEADING_POINTS, *(_HEADING_POINTS * (bottom - top) / text_width(
                text, _HEADING_POINTS) for text, top, bottom in spans)]))
        for text, top, bottom in spans:
            pen.text(_LABEL / 2 - 4, (top + bottom) / 2, shortened(text, bottom - top, points),
                     points, rotation=90)


class _Pen:
    """Draw on axes in pixels from the upper left corner; letters of ``points`` by default."""

    def __init__(self, axes: Any, points: float) -> None:
        self._axes, self.points = axes, points

    def image(self, image: np.ndarray, left: int, top: int) -> None:
        height, width = image.shape[:2]
        self._axes.imshow(image, extent=(left, left + width, top + height, top),
                          interpolation='none', aspect='auto')

    def frame(self, box: Sequence[float], color: Any, line: float) -> None:
        from matplotlib.patches import Rectangle
        self._axes.add_patch(Rectangle(box[:2], *box[2:], fill=False, edgecolor=color,
                                       linewidth=line, joinstyle='miter'))

    def square(self, left: float, middle: float, side: float, color: Sequence[int]) -> None:
        from matplotlib.patches import Rectangle
        self._axes.add_patch(Rectangle(
            (left, middle - side / 2), side, side, facecolor=[part / 255 for part in color],
            edgecolor='black', linewidth=0.3))

    def text(self, x: float, y: float, text: str, points: float | None = None,
             bold: bool = False, ha: str = 'center', rotation: float = 0) -> None:
        if text:
            drawn, families = in_matplotlib(text)
            self._axes.text(x, y, drawn, family=families, fontsize=points or self.points,
                            parse_math=False, ha=ha, rotation=rotation,
                            va='center' if rotation else 'center_baseline',
                            fontweight='bold' if bold else 'normal')

    def legend(self, entries: Sequence[tuple[str, Sequence[int]]], top: int, width: int) -> int:
        """List names beside their colours, in as few lines as they need; return the new top."""
        side, space, apart = 22, 8, 30
        entries = [(shortened(name, width - side - space, _CAPTION_POINTS), color)
                   for name, color in entries]
        needed = [side + space + text_width(name, _CAPTION_POINTS) for name, _ in entries]
        lines, free = [[]], width
        for entry, size in zip(entries, needed, strict=True):
            if lines[-1] and size > free:
                lines.append([])
                free = width
            lines[-1].append((entry, size))
            free -= size + apart
        for line in lines:
            left = (width - sum(size for _, size in line) - apart * (len(line) - 1)) / 2
            for (name, color), size in line:
                self.square(left, top + _LINE / 2, side, color)
                self.text(left + side + space, top + _LINE / 2, name, _CAPTION_POINTS,
                          ha='left')
                left += size + apart
            top += _LINE
        return top


def _draw_cell(pen: _Pen, cell: Panel | Scale | ColorKey | None, box: tuple[int, int, int, int]
               ) -> None:
    left, top, width, height = box
    if isinstance(cell, Panel):
        pen.image(cell.at(width, height), left, top)
        if cell.zoom:
            _draw_inset(pen, cell, box)
    elif isinstance(cell, Scale):
        bar = (round(0.8 * width), round(0.1 * height))
        start, middle = left + (width - bar[0]) // 2, top + height // 2
        shades = error_colors()[np.linspace(0, 255, bar[0]).astype(np.uint8)]
        pen.image(np.tile(shades, (bar[1], 1, 1)), start, middle - bar[1] // 2)
        pen.text(left + width / 2, middle - bar[1] - _LINE / 3, cell.text)
        for share, text in ((0, '0'), (0.5, f'{cell.highest / 2:g}'), (1, f'{cell.highest:g}+')):
            pen.text(start + share * bar[0], middle + bar[1] + _LINE / 3, text)
    elif isinstance(cell, ColorKey):
        room = 30 + max(text_width(name, pen.points) for name, _ in cell.entries)
        first = top + height / 2 - _LINE * (len(cell.entries) - 1) / 2
        for number, (name, color) in enumerate(cell.entries):
            middle, start = first + _LINE * number, left + (width - room) / 2
            pen.square(start, middle, 22, color)
            pen.text(start + 30, middle, name, ha='left')


def _draw_inset(pen: _Pen, cell: Panel, box: tuple[int, int, int, int]) -> None:
    """Frame a part of a panel, and show it larger in the corner that is farthest from it."""
    left, top, width, height = box
    scale = width / cell.size[0]
    x, y, w, h = (scale * each for each in cell.zoom)
    larger = _INSET_SHARE * min(width / w, height / h)
    inset_width, inset_height = max(2, round(larger * w)), max(2, round(larger * h))
    to_left, to_top = x + w / 2 > width / 2, y + h / 2 > height / 2
    inset_left = left if to_left else left + width - inset_width
    inset_top = top if to_top else top + height - inset_height
    pen.image(cell.crop(*cell.zoom).at(inset_width, inset_height), inset_left, inset_top)
    pen.frame((left + x, top + y, w, h), _FRAME, 0.6)
    pen.frame((inset_left + 1, inset_top + 1, inset_width - 2, inset_height - 2), _FRAME, 0.8)


def text_width(text: str, points: float, bold: bool = False) -> float:
    """Width of a line of text, pixels."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path
    drawn, families = in_matplotlib(text)
    width, _, _ = text_to_path.get_text_width_height_descent(drawn, FontProperties(
        family=families, size=points, weight='bold' if bold else 'normal'), False)
    return width * _PIXELS_PER_POINT


def fitting(points: float, rooms: Sequence[tuple[str, float]], bold: bool = False) -> float:
    """
    Return the size of letters, at most ``points``, at which each text has its room, pixels.

    :raises ValueError: it could not be read any more.
    """
    found, text = min([(points, ''), *((points * room / width, text) for text, room in rooms
                                       if (width := text_width(text, points, bold)))])
    if found < _LEAST_POINTS:
        raise ValueError(f'{text!r} has no room over its column, or below a panel of it: take a '
                         'larger width, or fewer images where each has columns of its own')
    return found


def shortened(text: str, room: float, points: float, bold: bool = False) -> str:
    """Return a text, or as much of it as there is room for, pixels."""
    if text_width(text, points, bold) <= room:
        return text
    while text and text_width(f'{text}…', points, bold) > room:
        text = text[:-1]
    return f'{text}…'


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
