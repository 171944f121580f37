# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small text on pictures."""

from __future__ import annotations

import functools
import re

import cv2
import numpy as np

from ubcn_ros.images.fonts import font_with, spelled

_FINE = 4  # text is drawn so many times larger, then averaged: OpenCV's strokes are coarse
_CAP = 22  # height of a capital letter at scale 1, pixels (Hershey fonts)


@functools.lru_cache(maxsize=128)  # the names of classes come with every picture
def text_coverage(text: str, size: int, bold: bool = False) -> np.ndarray:
    """Draw text with capitals of `size` pixels; return its coverage (H, W) float32 0..1."""
    coverage = _coverage(text, size, bold)
    coverage.flags.writeable = False
    return coverage


def _coverage(text: str, size: int, bold: bool) -> np.ndarray:
    text = re.sub(r'\s', ' ', text)  # it is one line; Pillow fails at a line break
    others = ''.join(sorted({each for each in text if not each.isascii()}))
    if others and (canvas := _in_a_font(text, others, size * _FINE, bold)) is not None:
        return _averaged(canvas)
    text = spelled(text, others) if others else text
    scale, thickness = size * 0.72 / _CAP * _FINE, round(size * (0.14 if bold else 0.09) * _FINE)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(text, font, scale, thickness)
    canvas = np.zeros((height + below + 2 * thickness, width + 2 * thickness), np.uint8)
    cv2.putText(canvas, text, (thickness, height + thickness), font, scale, 255, thickness,
                cv2.LINE_AA)
    return _averaged(canvas)


def _in_a_font(text: str, others: str, size: int, bold: bool) -> np.ndarray | None:
    """Draw text, of which OpenCV lacks some characters, with Pillow; None where that cannot."""
    try:
        from PIL import Image, ImageDraw, ImageFont  # of the extra train
        font = ImageFont.truetype(str(font_with(others)), size)
    except (ImportError, OSError):
        return None
    edge = round(size * (0.05 if bold else 0))
    above, below = font.getmetrics()
    width = max(1, round(font.getlength(text)) + 2 * edge)  # of characters that have none, 0
    canvas = Image.new('L', (width, above + below))
    ImageDraw.Draw(canvas).text((edge, 0), text, 255, font, stroke_width=edge)
    return np.asarray(canvas)


def _averaged(canvas: np.ndarray) -> np.ndarray:
    rows, columns = (-(-side // _FINE) for side in canvas.shape)
    whole = np.pad(canvas, [(0, each * _FINE - side) for each, side in zip(
        (rows, columns), canvas.shape, strict=True)])
    small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def blend(image: np.ndarray, coverage: np.ndarray, left: int, middle: int,
          color: tuple[int, int, int]) -> None:
    """Paint a colour through a coverage, its centre line at row `middle`; cut at the edges."""
    top = max(0, middle - coverage.shape[0] // 2)
    part = image[top:top + coverage.shape[0], left:left + coverage.shape[1]]
    share = coverage[:part.shape[0], :part.shape[1], None]
    part[:] = np.rint(part * (1 - share) + np.float32(color) * share).astype(np.uint8)


def tag(cell: np.ndarray, text: str) -> None:
    """Write on a darkened corner, which reads on any picture."""
    if not text:
        return
    coverage = text_coverage(text, 12)
    height, width = coverage.shape[0] + 6, coverage.shape[1] + 12
    corner = cell[-height:, :width]
    corner[:] = (corner * np.float32(0.35)).astype(np.uint8)
    blend(corner, coverage, 6, corner.shape[0] // 2, (255, 255, 255))
