# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture of pictures: one row per moment, one column per kind of image, classes below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ubcn_ros.images.text import blend, tag, text_coverage

_PAPER, _INK, _FAINT = 255, (31, 35, 40), (101, 109, 118)
_MARGIN, _GAP = 20, 8


def contact_sheet(rows: Sequence[tuple[str | Sequence[str], Sequence[np.ndarray]]],
                  columns: Sequence[str], label_set: Any = None, title: str = '',
                  subtitle: str = '', cell_width: int = 400) -> np.ndarray:
    """
    Lay images out in a grid.

    :param rows: for each, its caption, or one per image, and one (H, W, 3) uint8 RGB image per
        column; images may differ in size, each is scaled to the cell's width.
    :param columns: the columns' captions.
    :param label_set: LabelSet whose classes and colours are listed below; None lists none.
    :param title: line above; '' for none.
    :param subtitle: smaller below it, in as many lines as it needs, which end after commas; ''
        for none.
    :param cell_width: of an image on the sheet, pixels.
    :return: (H, W, 3) uint8 RGB.
    :raises ValueError: no rows, or a row with another number of images than there are columns.
    """
    if not rows:
        raise ValueError('a contact sheet needs at least one row')
    for caption, images in rows:
        if len(images) != len(columns):
            raise ValueError(f'row {caption!r} has {len(images)} images, but there are '
                             f'{len(columns)} columns')
    width = 2 * _MARGIN + len(columns) * (cell_width + _GAP) - _GAP
    lefts = [_MARGIN + i * (cell_width + _GAP) for i in range(len(columns))]
    bands = [_paper(_MARGIN, width)]
    if title:
        bands.append(_line(width, 36, [(_MARGIN, title)], 17, _INK, bold=True))
    bands += [_line(width, 30, [(_MARGIN, line)], 12, _FAINT)
              for line in _lines(subtitle, 12, width - 2 * _MARGIN)]
    bands.append(_line(width, 34, list(zip(lefts, columns, strict=True)), 13, _INK, bold=True))
    for caption, images in rows:
        cells = [scaled_to(cell_width, image) for image in images]
        height = max(cell.shape[0] for cell in cells)
        band = _paper(height + _GAP, width)
        for left, cell in zip(lefts, cells, strict=True):
            band[:cell.shape[0], left:left + cell_width] = cell
        # one caption alone belongs to the first image
        for text, left, cell in zip([caption] if isinstance(caption, str) else caption, lefts,
                                    cells, strict=False):
            tag(band[:cell.shape[0], left:left + cell_width], text)
        bands.append(band)
    if label_set is not None:
        bands += _legend(width, label_set)
    bands.append(_paper(_MARGIN - _GAP, width))
    return np.concatenate(bands)


def _paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _PAPER, np.uint8)


def scaled_to(width: int, image: np.ndarray) -> np.ndarray:
    """Scale an image, (H, W, 3), to a width in pixels."""
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    kind = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=kind)


def _lines(text: str, size: int, width: int) -> list[str]:
    """Break a text after commas into lines of at most this width; none of an empty text."""
    lines: list[str] = []
    for part in filter(None, text.split(', ')):
        longer = f'{lines[-1]}, {part}' if lines else part
        if lines and text_coverage(f'{longer},', size).shape[1] > width:
            lines[-1] += ','
            lines.append(part)
        else:
            lines[-1:] = [longer]
    return lines


def _line(width: int, height: int, texts: Sequence[tuple[int, str]], size: int,
          color: tuple[int, int, int], bold: bool = False) -> np.ndarray:
    band = _paper(height, width)
    for left, text in texts:
        blend(band, text_coverage(text, size, bold), left, height // 2, color)
    return band


def _legend(width: int, label_set: Any) -> list[np.ndarray]:
    """List the classes in as few lines as they need, spread over their width."""
    square, space = 14, 7
    entries = [(text_coverage(name, 12), color)
               for name, color in zip(label_set.classes, label_set.colors, strict=True)]
    needed = [square + space + coverage.shape[1] for coverage, _ in entries]
    inner = width - 2 * _MARGIN
    for lines in range(1, len(entries) + 1):
        per_line = -(-len(entries) // lines)
        if all(sum(needed[i:i + per_line]) + 12 * (per_line - 1) <= inner
               for i in range(0, len(entries), per_line)):
            break
    bands = []
    for start in range(0, len(entries), per_line):
        chosen = range(start, min(start + per_line, len(entries)))
        gap = 26
        if len(chosen) > 1:
            gap = min(gap, (inner - sum(needed[i] for i in chosen)) // (len(chosen) - 1))
        band, left, middle = _paper(32, width), _MARGIN, 16
        for i in chosen:
            coverage, color = entries[i]
            top = middle - square // 2
            band[top:top + square, left:left + square] = color
            blend(band, coverage, left + square + space, middle, _INK)
            left += needed[i] + gap
        bands.append(band)
    return bands
