# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many steps of the loop fit before a deadline, from the steps measured so far."""

from __future__ import annotations

from collections import deque

_WINDOW = 16
_PATIENCE = 50


class StepBudget:
    """
    Decides, before each further step, whether it will end in time.

    The first step of a frame always runs and says how fast the machine is at this moment; a
    further step is expected to take as many times that as further steps took lately. A load that
    comes or goes is thus followed within the frame, not after it.

    Lately means the last ``_WINDOW`` measurements, of which the largest may be a stray (an
    interrupt, a page fault): the second largest counts. When no further step has fitted for
    ``_PATIENCE`` frames the largest is forgotten, or one bad moment could end the trying for good.
    """

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_WINDOW)
        self._finishes: deque[float] = deque(maxlen=_WINDOW)
        self._first = 0.0
        self._refusals = 0

    def record_first(self, seconds: float) -> None:
        """Note how long this frame's first step (derain and segment) took; starts a frame."""
        self._first = seconds

    def record_step(self, seconds: float) -> None:
        """Note how long a further step (attend and segment) took."""
        if self._first > 0:
            self._ratios.append(seconds / self._first)

    def record_finish(self, seconds: float) -> None:
        """Note how long it took from the last step to the results in main memory."""
        self._finishes.append(seconds)

    def fits(self, now: float, deadline: float) -> bool:
        """Return whether one more step started now ends by the deadline; both in seconds."""
        if not self._ratios:
            # Nothing measured: find out, unless it is late already.
            return now < deadline
        expected = _usual_worst(self._ratios) * self._first
        if now + expected + _usual_worst(self._finishes) <= deadline:
            self._refusals = 0
            return True
        self._refusals += 1
        if self._refusals >= _PATIENCE:
            self._refusals = 0
            self._ratios.remove(max(self._ratios))
        return False


def _usual_worst(values: deque[float]) -> float:
    """Return the second largest of four and more, the largest of fewer, 0 of none."""
    ordered = sorted(values)
    return ordered[-2 if len(ordered) > 3 else -1] if ordered else 0.0
