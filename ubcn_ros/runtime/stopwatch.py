# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time per stage of a frame, of the host or of a GPU's stream."""

from __future__ import annotations

import time
from itertools import pairwise

import torch

TIMED_STAGES = ('upload', 'derain', 'segment', 'attend', 'download')


def now(device: torch.device) -> float:
    """Wait for a device, and return the time in seconds, as ``time.perf_counter`` has it."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """
    Time per stage, of the host or, on a GPU, between events on its current stream.

    It is started again for every frame; the events are made once.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == 'cuda'
        self._events: list[torch.cuda.Event] = []
        self._marks: list[tuple[str, float | torch.cuda.Event]] = []

    def start(self) -> None:
        """Begin a frame."""
        self._marks = []
        self.mark('')

    def mark(self, stage: str) -> None:
        """End a stage, one of TIMED_STAGES."""
        self._marks.append((stage, self._now()))

    def timings(self) -> dict[str, float]:
        """Return milliseconds per stage and 'total'; waits for the device."""
        if self._cuda:
            self._marks[-1][1].synchronize()
        result = dict.fromkeys(TIMED_STAGES, 0.0)
        for (_, before), (stage, after) in pairwise(self._marks):
            result[stage] += self._between(before, after)
        result['total'] = self._between(self._marks[0][1], self._marks[-1][1])
        return result

    def _now(self) -> float | torch.cuda.Event:
        if not self._cuda:
            return time.perf_counter()
        if len(self._events) == len(self._marks):
            self._events.append(torch.cuda.Event(enable_timing=True))
        event = self._events[len(self._marks)]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _between(self, before: float | torch.cuda.Event, after: float | torch.cuda.Event
                 ) -> float:
        return before.elapsed_time(after) if self._cuda else 1e3 * (after - before)
