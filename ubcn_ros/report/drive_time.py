# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Seconds of a drive, as an axis has them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ubcn_ros.images.video_writer import LONGEST_GAP_S


class DriveTime:
    """
    Seconds of a drive without gaps longer than ``LONGEST_GAP_S``, as a clock that is set leaves.

    They would leave no room for what lies before and behind. As in a video, what follows a gap
    follows as other frames do.

    :param seconds: of all frames since the beginning, in any order.
    """

    def __init__(self, seconds: Iterable[float]) -> None:
        self._seconds = np.unique([0.0, *seconds])
        steps = np.diff(self._seconds)
        gaps = steps > LONGEST_GAP_S
        steps[gaps] = np.median(steps[~gaps]) if not gaps.all() else 1.0
        self._shown = np.append(0.0, np.cumsum(steps))
        self.gaps = int(gaps.sum())

    def __call__(self, seconds: float) -> float:
        """Return where a frame lies on the axis, seconds."""
        return float(np.interp(seconds, self._seconds, self._shown))
