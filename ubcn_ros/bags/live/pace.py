# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Give out what was recorded at the times at which it was recorded, at any rate."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

Item = TypeVar('Item')
LATE_NS = 10_000_000
"""A message that goes out by more than this after its time counts as late."""

_AHEAD = 64  # items that were read and wait
_LONGEST_SLEEP_NS = 3600 * 10**9  # a clock that was set while it was recorded makes longer ones


@dataclass(frozen=True)
class Schedule:
    """
    Say when what was recorded is due.

    Each time is worked out from the beginning, not from the message before: errors do not add up.

    :param first_ns: recording time that the first lap begins with.
    :param lap_ns: from the beginning of a lap to that of the next, in the time of the recording.
    :param rate: 2 is twice as fast as recorded.
    :param begin_ns: when the first lap begins, by the clock that is played by.
    """

    first_ns: int
    lap_ns: int
    rate: float
    begin_ns: int

    def due_ns(self, lap: int, recorded_ns: int) -> int:
        """Return when it is due, by the clock that is played by."""
        return self.begin_ns + round((recorded_ns - self.first_ns + lap * self.lap_ns) / self.rate)

    def recorded_ns(self, lap: int, recorded_ns: int, now_ns: int) -> int:
        """
        Return what time it is in the recording while a record is the next to go out.

        It does not pass that record, of a lap and a time, where that is late.
        """
        passed = round((now_ns - self.begin_ns) * self.rate)
        present = min(lap, passed // self.lap_ns)
        time_ns = self.first_ns + passed - present * self.lap_ns
        return min(time_ns, recorded_ns) if present == lap else time_ns


@dataclass
class Played:
    """What went out: messages, of these late ones, and by how much the latest was late, ns."""

    messages: int = 0
    late: int = 0
    latest_ns: int = 0


def publish_when_due(records: Iterable[tuple[int, Any]], schedule: Schedule, played: Played,
                     publish: Callable[[Any], None],
                     publish_clock: Callable[[int], None] | None, clock_hz: float,
                     clock: Callable[[], int] = time.monotonic_ns,
                     sleep: Callable[[float], None] = time.sleep) -> None:
    """
    Publish records when they are due, and the time of the recording as often as asked.

    :param records: with the lap that each is of, in the order of time.
    :param schedule: says when.
    :param played: updated after each message.
    :param publish: is given each record.
    :param publish_clock: is given the time in the recording, ns; None: it is not published.
    :param clock_hz: how often, times a second.
    :param clock: the one that is played by, ns.
    :param sleep: waits so many seconds.
    """
    tick = schedule.begin_ns
    for lap, record in records:
        due = schedule.due_ns(lap, record.time_ns)
        while True:
            now = clock()
            if publish_clock and now >= tick:
                publish_clock(schedule.recorded_ns(lap, record.time_ns, now))
                tick = max(tick, now) + round(1e9 / clock_hz)
            if now >= due:
                break
            until = min(due, tick) if publish_clock else due
            sleep(min(until - now, _LONGEST_SLEEP_NS) / 1e9)
        publish(record)
        played.messages += 1
        played.late += now - due > LATE_NS
        played.latest_ns = max(played.latest_ns, now - due)


@contextmanager
def read_ahead(items: Generator[Item, None, None]) -> Iterator[Iterator[Item]]:
    """
    Take items in a thread of its own, so that reading them holds nothing else up.

    :param items: runs, and is closed, in that thread alone; what it raises is raised here.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def take() -> None:
        error = None
        try:
            with closing(items):
                for item in items:
                    waiting.put((item, None))
                    if stopped.is_set():
                        break
        except BaseException as raised:
            error = raised
        finally:
            waiting.put((None, error))

    def give() -> Iterator[Item]:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    thread = threading.Thread(target=take, name='read_ahead', daemon=True)
    thread.start()
    try:
        yield give()
    finally:
        stopped.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                waiting.get(timeout=0.05)
