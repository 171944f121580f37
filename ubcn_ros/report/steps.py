# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of the loop on single frames, computed again: pictures and figures against T."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ubcn_ros.evaluation.metrics import common_means
from ubcn_ros.report.charts import Chart, Line
from ubcn_ros.report.measures import psnr
from ubcn_ros.runtime.processing import short_side


class Steps:
    """
    Run the loop on frames with T = 1, 2, ... and keep its figures.

    :param engine: an Engine: called with (H, W, 3) uint8 RGB.
    :param iterations: the largest T.
    """

    def __init__(self, engine: Any, iterations: int) -> None:
        self.engine, self.iterations = engine, iterations
        self.label_set = engine.label_set
        self._psnr: list[list[float]] = []
        self._changed: list[list[float]] = []
        self._confidence: list[list[float]] = []
        self._ms: list[list[float]] = []

    def __call__(self, image: np.ndarray, truth: np.ndarray | None = None,
                 focal_length: float | None = None) -> list[Any]:
        """
        Return the engine's frame of every T, with confidence.

        :param image: (H, W, 3) uint8 RGB.
        :param truth: the same without rain, where there is one.
        :param focal_length: of the camera, as of `short_side`, where it is known.
        """
        size = None if focal_length is None else short_side(
            self.engine.processing_size, self.engine.info, focal_length)
        run = partial(self.engine, image, confidence=True, processing_size=size)
        if not self._ms:
            run(iterations=self.iterations)  # its first is slow
        frames = [run(iterations=t) for t in range(1, self.iterations + 1)]
        if truth is not None:
            self._psnr.append([psnr(image, truth), *(psnr(f.derained, truth) for f in frames)])
        self._changed.append([100 * float((after.labels != before.labels).mean())
                              for before, after in zip(frames, frames[1:], strict=False)])
        self._confidence.append([100 * float(f.confidence.mean()) / 255 for f in frames])
        self._ms.append([f.timings['total'] for f in frames])
        return frames

    @property
    def frames(self) -> int:
        """How many were run."""
        return len(self._ms)

    def charts(self) -> list[Chart]:
        """Draw the figures against T; none before a frame was run."""
        if not self.frames:
            return []
        frames = _mean_of(self.frames)
        means, compared = common_means([dict(enumerate(values)) for values in self._psnr])
        x = 'T (0: the input)' if self._psnr else 'T'
        drawn = [Chart('PSNR', x, 'PSNR, dB', (
            Line(_mean_of(compared), tuple(means.items())),))] if self._psnr else []
        if self.iterations > 1:
            drawn.append(Chart('Labels that a step changes', 'T', 'pixels, %',
                               (_line(frames, self._changed, 2),)))
        return [*drawn,
                Chart('Confidence', 'T', 'mean confidence, %',
                      (_line(frames, self._confidence, 1),)),
                Chart('Latency', 'T', 'ms', (
                    Line('median', tuple(enumerate(np.median(self._ms, 0).tolist(), 1))),),
                    f'Of the engine on {self.engine.device}, {self.engine.precision}, on the '
                    'machine that wrote this page, image in to image out.')]


def _mean_of(frames: int) -> str:
    return 'one frame' if frames == 1 else f'mean of {frames} frames'


def _line(name: str, values: Sequence[Sequence[float]], first: int) -> Line:
    """Return the mean over frames, from T = first."""
    return Line(name, tuple(enumerate(np.mean(values, 0).tolist(), first)))
