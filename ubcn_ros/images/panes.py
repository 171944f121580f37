# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A video of panes side by side: what came in, derained, and the labels' colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros.images.text import tag
from ubcn_ros.images.video_writer import LONGEST_GAP_S, VideoWriter

CAPTIONS = ('input', 'derained', 'labels')
_WIDEST = 1280  # pixels of a pane: three of them are as wide as decoders in hardware take
_SMALLEST_TAGGED = 160  # pixels of width that a caption leaves something of


class PaneVideo(VideoWriter):
    """
    Write input | derained | labels as an MP4.

    The first frame decides the size: its own, or less where it is wider than 1280 pixels. Later
    frames of another size are scaled into it, with black beside them. Times are those of
    `VideoWriter`: each frame is shown at its own.

    :param path: of the file.
    :param label_set: the LabelSet that the labels belong to.
    :param longest_gap_s, pixel_aspect: as in `VideoWriter`.
    :raises ImportError: PyAV is missing.
    """

    def __init__(self, path: Path | str, label_set: Any, longest_gap_s: float = LONGEST_GAP_S,
                 pixel_aspect: Fraction = Fraction(1)):
        super().__init__(path, longest_gap_s, pixel_aspect)
        self._label_set = label_set
        self._size: tuple[int, int] | None = None

    def write_panes(self, image: np.ndarray, derained: np.ndarray, labels: np.ndarray,
                    time_s: float) -> None:
        """
        Write one frame.

        :param image, derained: (H, W, 3) uint8 RGB.
        :param labels: (H, W) uint8 class ids, 255 unlabeled.
        :param time_s: when it is shown, seconds from any origin.
        :raises VideoError: it cannot be written.
        """
        if self._size is None:
            height, width = image.shape[:2]
            scale = min(1.0, _WIDEST / width)
            self._size = (round(height * scale), round(width * scale))
        panes = [_fit(image, self._size, cv2.INTER_AREA),
                 _fit(derained, self._size, cv2.INTER_AREA),
                 # ids are chosen, not mixed: a mean of two classes' colours is a third's
                 _fit(self._label_set.colorize(labels), self._size, cv2.INTER_NEAREST)]
        if self._size[1] >= _SMALLEST_TAGGED:
            for pane, caption in zip(panes, CAPTIONS, strict=True):
                tag(pane, caption)
        self.write(np.concatenate(panes, 1), time_s)


def _fit(image: np.ndarray, size: tuple[int, int], smaller: int) -> np.ndarray:
    """Scale an image into a size, keeping its proportions; always a copy."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return image.copy()
    scale = min(size[0] / height, size[1] / width)
    rows, columns = (max(1, min(round(side * scale), most))
                     for side, most in zip((height, width), size, strict=True))
    larger = smaller if smaller == cv2.INTER_NEAREST else cv2.INTER_LINEAR
    scaled = cv2.resize(image, (columns, rows), interpolation=smaller if scale < 1 else larger)
    pane = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    pane[top:top + rows, left:left + columns] = scaled
    return pane
