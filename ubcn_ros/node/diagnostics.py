# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Count what one camera's frames went through, and summarise it; ROS-free.

Vocabulary: `age` is from the header's stamp to publishing, `latency` from the frame's arrival at
the node to publishing, both in milliseconds. Every frame that was sent ends in exactly one
counter: sent == processed + dropped + malformed, give or take the one that waits, the one that the
engine has and the one that is published.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ubcn_ros.node.frames import FrameNumbers

DEADLINE_FRAMES, DEADLINE_SECONDS = 100, 10.0
"""Deadlines are judged over the newest frames, as many and as old as this at most."""
LATE_WARN, LATE_ERROR = 0.05, 0.5
"""Shares of late frames from which the level is raised."""
STUCK_WARN_SECONDS, STUCK_ERROR_SECONDS = 5.0, 30.0
"""For how long images may come in, and nothing be made of any, before the level is raised."""
_NEWEST = 300
"""Published frames, the newest, over which percentiles and means are."""


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass
class DiagnosticReport:
    """One DiagnosticStatus without its name: level, summary, and values in order."""

    level: Level
    message: str
    values: dict[str, str] = field(default_factory=dict)

    def add(self, level: Level, text: str) -> None:
        """Raise the level, and say why: instead of the summary of what is OK, or after it."""
        self.message = text if self.level is Level.OK else f'{self.message}; {text}'
        self.level = max(self.level, level)


class CameraStatistics:
    """
    Counters and times of one camera; every method is thread-safe.

    `dropped` is the sum of `stale` (a newer frame came first, or none was wanted yet or any more),
    `failed` (converting, the engine or publishing raised, or the node has given up) and `idle`
    (nobody listened to any output); `missed` are those of the stale that the middleware replaced.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._lock = threading.Lock()
        self.received = 0
        self.processed = 0
        self.stale = 0
        self.failed = 0
        self.missed = 0
        self.idle = 0
        self.reduced = 0
        self._ageless = 0
        self.malformed: Counter[str] = Counter()
        self._problems: dict[str, str] = {}  # the last of each counter, the newest at the end
        # the newest that were published, with their ages in milliseconds
        self._frames: deque[tuple[FrameNumbers, float | None]] = deque(maxlen=_NEWEST)
        self._deadlines, self._late = 0, 0
        self._deadline_ms = 0.0
        # of the newest frames with a deadline, when each was done and whether it was late
        self._lateness: deque[tuple[float, bool]] = deque(maxlen=DEADLINE_FRAMES)
        self._last_arrival: float | None = None
        self._unanswered: float | None = None  # first arrival since something came of an image
        self._reported = clock(), (0,) * 6

    def arrived(self, missed: int = 0) -> None:
        """Count a frame that came in, and frames before it that the transport replaced."""
        with self._lock:
            self.received += 1 + missed
            self.stale += missed
            self.missed += missed
            now, last = self._clock(), self._last_arrival
            if self._unanswered is None or now - last > STUCK_WARN_SECONDS:
                self._unanswered = now  # after a pause nothing was to come of images
            self._last_arrival = now

    def dropped_stale(self, count: int) -> None:
        """Count frames that the engine never took, as a newer one came or none was wanted."""
        with self._lock:
            self.stale += count

    def dropped_idle(self) -> None:
        """Count a frame that nobody wanted anything of."""
        with self._lock:
            self.idle += 1
            self._unanswered = None

    def dropped_malformed(self, kind: str, text: str) -> None:
        """Count a message that is not an image, by kind of reason."""
        with self._lock:
            self.malformed[kind] += 1
            self._unanswered = None
            self._note('malformed', text)

    def dropped_failed(self, text: str) -> None:
        """Count a frame on which conversion, engine or publishing failed, or after giving up."""
        with self._lock:
            self.failed += 1
            self._unanswered = None
            self._note('failed', text)

    def reduced_to_one_step(self, text: str) -> None:
        """Count a frame that ran a single step because memory did not suffice for more."""
        with self._lock:
            self.reduced += 1
            self._note('reduced', text)

    def done(self, numbers: FrameNumbers, age_ms: float | None) -> None:
        """
        Count a frame that was published.

        :param age_ms: from the header's stamp to the last publish, negative where the camera's
            clock is ahead of ours; None where the stamp means nothing (zero, or of another clock).
        """
        with self._lock:
            self.processed += 1
            self._unanswered = None
            self._set_deadline(numbers.deadline_ms)
            if numbers.deadline_ms:
                self._deadlines += 1
                self._late += numbers.late
                self._lateness.append((self._clock(), numbers.late))
            self._ageless += age_ms is None
            self._frames.append((numbers, age_ms))

    def silence(self) -> float | None:
        """Return the seconds since the last frame arrived; None before the first."""
        with self._lock:
            return None if self._last_arrival is None else self._clock() - self._last_arrival

    def forget_lateness(self) -> None:
        """Judge deadlines and answers anew, as where frames cease to come; the counters stay."""
        with self._lock:
            self._lateness.clear()
            self._unanswered = None

    def report(self, deadline_ms: float | None = None) -> DiagnosticReport:
        """
        Summarise; rates and the level are over the time since the last report.

        Only deadlines are judged over a window of their own; the severest finding gives the level
        and the message.

        :param deadline_ms: that is asked for now, 0 for none; None: that of the newest frame.
        """
        with self._lock:
            if deadline_ms is not None:
                self._set_deadline(deadline_ms)
            now, malformed = self._clock(), sum(self.malformed.values())
            counts = (self.received, self.processed, malformed, self.failed, self.reduced,
                      self.idle)
            then, before = self._reported
            self._reported = now, counts
            new = [count - earlier for count, earlier in zip(counts, before, strict=True)]
            rate_in, rate_out = (count / max(now - then, 1e-6) for count in new[:2])
            findings = self._stuck(now) + [self._worst(now, rate_in, rate_out, *new[1:])]
            level, message = max(findings, key=lambda finding: finding[0])  # the first of equals
            return DiagnosticReport(level, message, self._values(rate_in, rate_out, malformed))

    def _note(self, counter: str, text: str) -> None:
        self._problems.pop(counter, None)
        self._problems[counter] = text

    def _set_deadline(self, deadline_ms: float) -> None:
        """Forget frames that had another deadline."""
        if deadline_ms != self._deadline_ms:
            self._deadline_ms = deadline_ms
            self._lateness.clear()

    def _stuck(self, now: float) -> list[tuple[Level, str]]:
        """Tell of an engine that has answered no image for long, by what it usually takes."""
        if self._unanswered is None or now - self._last_arrival > STUCK_WARN_SECONDS:
            return []
        since = now - self._unanswered
        usual = 3 * max((frame.latency_ms for frame, _ in self._frames), default=0.0) / 1e3
        if since <= max(STUCK_WARN_SECONDS, usual):
            return []
        level = Level.ERROR if since > max(STUCK_ERROR_SECONDS, usual) else Level.WARN
        return [(level, f'images come in, and nothing has come of any for {since:.0f} s')]

    def _worst(self, now: float, rate_in: float, rate_out: float, processed: int, malformed: int,
               failed: int, reduced: int, idle: int) -> tuple[Level, str]:
        """Judge what is new since the last report, and the deadlines; the severest counts."""
        findings = [(Level.OK, f'{rate_in:.1f} Hz in, {rate_out:.1f} Hz out')]
        if idle and not processed:
            findings = [(Level.OK, f'idle: nobody subscribes to an output; {rate_in:.1f} Hz in, '
                         'the engine rests')]
        if failed:
            findings.append((Level.ERROR, f'{failed} frames failed: {self._problems["failed"]}'))
        if reduced:
            findings.append((Level.WARN,
                             f'{reduced} frames ran one step only: {self._problems["reduced"]}'))
        if malformed:
            findings.append((Level.WARN, f'{malformed} malformed messages: '
                             f'{self._problems["malformed"]}'))
        while self._lateness and now - self._lateness[0][0] > DEADLINE_SECONDS:
            self._lateness.popleft()
        if count := len(self._lateness):
            late = sum(late for _, late in self._lateness)
            level = Level.ERROR if late >= LATE_ERROR * count else \
                Level.WARN if late >= LATE_WARN * count else Level.OK
            findings.append((level, f'{late} of {count} deadlines missed '
                             f'({self._deadline_ms:g} ms): raise deadline_ms, or use smaller '
                             'images or a smaller processing_size'))
        return max(findings, key=lambda finding: finding[0])  # the first of equals

    def _values(self, rate_in: float, rate_out: float, malformed: int) -> dict[str, str]:
        values = {
            'rate in (Hz)': f'{rate_in:.2f}',
            'rate out (Hz)': f'{rate_out:.2f}',
            'received': str(self.received),
            'processed': str(self.processed),
            'dropped': str(self.stale + self.failed + self.idle),
            'dropped (stale)': str(self.stale),
            'dropped (of the stale, in transport)': str(self.missed),
            'dropped (failed)': str(self.failed),
            'dropped (idle)': str(self.idle),
            'malformed': str(malformed),
        }
        for kind, count in sorted(self.malformed.items()):
            values[f'malformed ({kind})'] = str(count)
        if self.reduced:
            values['reduced to one step'] = str(self.reduced)
        if self._problems:
            values['last problem'] = next(reversed(self._problems.values()))
        for name, times in self._times().items():
            p50, p95 = np.percentile(times, (50, 95))
            values[f'{name} p50 (ms)'], values[f'{name} p95 (ms)'] = f'{p50:.2f}', f'{p95:.2f}'
        if self._ageless:
            values['without age (stamp of zero, or 60 s or more off)'] = str(self._ageless)
        if self._deadlines:
            values['deadline missed'] = f'{self._late} of {self._deadlines}'
        return values | self._results()

    def _times(self) -> dict[str, list[float]]:
        """Return the milliseconds of the newest frames: age, latency, and the stages they had."""
        times = defaultdict(list)
        for numbers, age_ms in self._frames:
            known = {} if age_ms is None else {'age': age_ms}
            for name, value in {**known, 'latency': numbers.latency_ms, **numbers.timings}.items():
                times[name].append(value)
        return times

    def _results(self) -> dict[str, str]:
        """Summarise what came of the newest frames, as far as the last of them has it."""
        if not self._frames:
            return {}
        frames = [numbers for numbers, _ in self._frames]
        last = frames[-1]
        values = {'processing size (last)': width_by_height(last.working_size)}
        if last.unlabeled is not None:
            mean = np.mean([frame.unlabeled for frame in frames if frame.unlabeled is not None])
            values['unlabeled (last, %)'] = f'{100 * last.unlabeled:.2f}'
            values['unlabeled (mean, %)'] = f'{100 * mean:.2f}'
        if last.rain is not None:
            rains = [frame.rain for frame in frames if frame.rain is not None]
            rate, visibility = (np.median([getattr(rain, name) for rain in rains])
                                for name in ('rate', 'visibility'))
            values['rain rate (last, mm/hr)'] = f'{last.rain.rate:.2f}'
            values['rain rate (median, mm/hr)'] = f'{rate:.2f}'
            values['visibility (last, m)'] = f'{last.rain.visibility:.1f}'
            values['visibility (median, m)'] = f'{visibility:.1f}'
        values['iterations used (last)'] = str(last.iterations)
        values['iterations used (mean)'] = f'{np.mean([f.iterations for f in frames]):.2f}'
        return values


def width_by_height(size: tuple[int, int]) -> str:
    """Write a height and width as people do, like 640x360."""
    return f'{size[1]}x{size[0]}'


def resident_mib(process: int | str = 'self') -> float:
    """Return a process's resident memory in MiB; NaN where it, or /proc, is not there."""
    try:
        with open(f'/proc/{process}/statm') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20
    except OSError:
        return float('nan')


class Throttle:
    """
    Lets one message per key through in each period and counts those it held back. Thread-safe.

    The worker and the publisher both log what goes wrong with a camera's frames.
    """

    def __init__(self, period: float = 5.0, clock: Callable[[], float] = time.monotonic):
        self._period, self._clock = period, clock
        self._seen: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def forget(self, key: str) -> None:
        """Let the next message of a key through."""
        with self._lock:
            self._seen.pop(key, None)

    def passes(self, key: str) -> int | None:
        """Return how many were held back since the last one that passed; None holds this one."""
        with self._lock:
            now = self._clock()
            last = self._seen.get(key)
            if last is not None and now - last[0] < self._period:
                self._seen[key] = (last[0], last[1] + 1)
                return None
            self._seen[key] = (now, 0)
            return last[1] if last is not None else 0
