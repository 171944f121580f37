# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records go out at their times: without drift, late ones counted, the clock behind them."""

import threading
from types import SimpleNamespace

import pytest

from ubcn_ros.bags.live.pace import LATE_NS, Played, Schedule, publish_when_due, read_ahead

MS = 1_000_000


class Time:
    """A clock that goes on while something sleeps, too long each time, or works."""

    def __init__(self, oversleep_ns=0):
        self.ns, self.oversleep_ns = 5 * MS, oversleep_ns

    def now(self):
        return self.ns

    def sleep(self, seconds):
        assert 0 < seconds <= 3600, 'the operating system takes no time of any length'
        self.ns += round(seconds * 1e9) + self.oversleep_ns


def run(times_ms, rate=1.0, work_ms=(), oversleep_ns=0, laps=1, lap_ms=10**6, clock_hz=None):
    """Play records of these times; return what was counted, when each went out, and the clock."""
    time, played, out, clock = Time(oversleep_ns), Played(), [], []
    work = iter(work_ms)

    def publish(record):
        out.append((time.ns - begin) / MS)
        time.ns += round(next(work, 0) * MS)

    begin = time.ns
    first = times_ms[0] * MS
    records = ((lap, SimpleNamespace(time_ns=t * MS)) for lap in range(laps) for t in times_ms)
    publish_when_due(records, Schedule(first, lap_ms * MS, rate, begin), played, publish,
                     (lambda ns: clock.append((ns - first) / MS)) if clock_hz else None,
                     clock_hz or 1.0, time.now, time.sleep)
    return played, out, clock


@pytest.mark.parametrize('rate', [0.1, 1.0, 3.0, 1000.0])
def test_records_go_out_as_recorded_at_any_rate(rate):
    played, out, _ = run([1000, 1010, 1010, 1500, 3000], rate)
    assert out == pytest.approx([0, 10 / rate, 10 / rate, 500 / rate, 2000 / rate], abs=1e-5)
    assert played == Played(5)


def test_what_a_clock_that_was_set_puts_far_away_is_waited_for():
    played, out, _ = run([0, 10_000_000], 0.5)
    assert out == pytest.approx([0, 20_000_000]) and played == Played(2)


def test_errors_do_not_add_up():
    played, out, _ = run(range(0, 10_000, 10), oversleep_ns=MS)
    assert all(0 <= real - time <= 1.001 for real, time in zip(out, range(0, 10_000, 10),
                                                               strict=True))
    assert played == Played(1000, 0, MS)


def test_what_is_late_goes_out_at_once_and_is_counted():
    limit = LATE_NS // MS
    played, out, _ = run([0, 10, 20, 30, 100], work_ms=[0, 25, 0, 0])
    assert out == [0, 10, 35, 35, 100]
    assert played == Played(5, 1, 15 * MS) and limit == 10


def test_laps_follow_each_other():
    played, out, _ = run([100, 150], rate=2.0, laps=3, lap_ms=80)
    assert out == [0, 25, 40, 65, 80, 105] and played.messages == 6


def test_the_clock_tells_the_time_of_the_recording_at_its_own_rate():
    _, _, clock = run([0, 95, 200], rate=2.0, clock_hz=50)
    assert clock == [0, 40, 80, 120, 160, 200]


def test_the_clock_never_passes_a_record_that_is_still_to_come():
    _, out, clock = run([0, 10, 20, 30], work_ms=[100, 100, 100], clock_hz=1000)
    assert out == [0, 100, 200, 300] and clock == [0, 10, 20, 30]


@pytest.mark.parametrize('hz', [7, 1000])
def test_the_clock_of_a_lap_begins_with_it(hz):
    _, _, clock = run([0, 500], laps=2, lap_ms=1000, clock_hz=hz)
    falls = [b for a, b in zip(clock, clock[1:], strict=False) if b < a]
    tick = 1000 / hz
    assert len(falls) == 1 and min(clock) == 0
    assert 0 <= falls[0] < tick and 1000 - tick <= max(clock) < 1000


def test_items_come_in_their_order_from_a_thread():
    def items():
        for number in range(200):
            yield number, threading.current_thread().name

    with read_ahead(items()) as taken:
        assert [*taken] == [(number, 'read_ahead') for number in range(200)]


def test_what_reading_raises_is_raised_after_what_was_read():
    def items():
        yield 1
        raise OSError('no more')

    got = []
    with pytest.raises(OSError, match='no more'), read_ahead(items()) as taken:
        got.extend(taken)
    assert got == [1]


def test_who_stops_early_leaves_nothing_running():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    with pytest.raises(KeyboardInterrupt), read_ahead(items()) as taken:
        next(taken)
        raise KeyboardInterrupt
    assert closed == ['read_ahead']
    assert not any(thread.name == 'read_ahead' for thread in threading.enumerate())
