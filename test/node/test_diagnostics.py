# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Counters are exact, rates are over the report's interval, percentiles are percentiles."""

import math
import threading
import time
from types import SimpleNamespace

import pytest

from ubcn_ros.node.diagnostics import CameraStatistics, Level, Throttle, resident_mib
from ubcn_ros.node.frames import FrameNumbers


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def statistics(clock):
    return CameraStatistics(clock)


def finish(statistics, iterations=3, latency=10.0, age=20.0, deadline=0.0, **more):
    statistics.done(FrameNumbers(iterations, (48, 64), latency, latency, deadline,
                                 {'derain': 4.0}, **more), age)


def test_percentiles_of_the_newest_samples(statistics):
    assert 'latency p50 (ms)' not in statistics.report().values
    for latency in range(1000):
        finish(statistics, latency=latency)
    values = statistics.report().values
    assert (values['latency p50 (ms)'], values['latency p95 (ms)']) == ('849.50', '984.05')


def test_every_frame_ends_in_one_counter(statistics):
    for _ in range(10):
        statistics.arrived()
    statistics.arrived(missed=4)
    statistics.dropped_stale(3)
    statistics.dropped_malformed('step', 'step 1 is shorter')
    statistics.dropped_failed('out of memory')
    statistics.reduced_to_one_step('memory for one step')
    for _ in range(6):
        finish(statistics)
    values = {k: int(v) for k, v in statistics.report().values.items() if v.isdigit()}
    assert values['received'] == 15
    assert values['processed'] + values['dropped'] + values['malformed'] == 15
    assert values['dropped'] == values['dropped (stale)'] + values['dropped (failed)'] == 8
    assert values['malformed (step)'] == values['reduced to one step'] == 1
    assert values['dropped (of the stale, in transport)'] == 4


def test_the_share_of_unlabeled_pixels_is_there_while_it_is_measured(statistics):
    finish(statistics)
    assert not any('unlabeled' in name for name in statistics.report().values)
    for share in (0.25, 0.75):
        finish(statistics, unlabeled=share)
    values = statistics.report().values
    assert (values['unlabeled (last, %)'], values['unlabeled (mean, %)']) == ('75.00', '50.00')
    finish(statistics)
    assert not any('unlabeled' in name for name in statistics.report().values)


def test_the_rain_is_there_while_a_model_tells_it(statistics):
    finish(statistics)
    assert not any(name.startswith(('rain', 'visib')) for name in statistics.report().values)
    for rate, visibility in ((10, 500), (90, 100), (20, 400)):
        finish(statistics, rain=SimpleNamespace(rate=rate, visibility=visibility))
    values = statistics.report().values
    assert [values[name] for name in (
        'rain rate (last, mm/hr)', 'rain rate (median, mm/hr)', 'visibility (last, m)',
        'visibility (median, m)')] == ['20.00', '20.00', '400.0', '400.0']


def test_rates_are_over_the_time_since_the_last_report(statistics, clock):
    for _ in range(30):
        statistics.arrived()
    for _ in range(10):
        finish(statistics)
    clock.now = 2.0
    values = statistics.report().values
    assert (values['rate in (Hz)'], values['rate out (Hz)']) == ('15.00', '5.00')
    clock.now = 3.0
    assert statistics.report().values['rate in (Hz)'] == '0.00'


def test_images_that_nothing_comes_of_raise_the_level(statistics, clock):
    def after(seconds):
        for _ in range(round(seconds)):
            clock.now += 1.0
            statistics.arrived()
            statistics.dropped_stale(1)
        return statistics.report()

    statistics.arrived()
    assert after(4).level is Level.OK
    report = after(4)
    assert report.level is Level.WARN and 'nothing has come of any for 8 s' in report.message
    assert after(30).level is Level.ERROR
    finish(statistics)
    assert after(4).level is Level.OK
    after(30)
    statistics.forget_lateness()  # nobody waits for them any more
    assert statistics.report().level is Level.OK
    statistics.arrived()
    clock.now += 60.0
    assert statistics.report().level is Level.OK, 'that no image comes is told elsewhere'


def test_a_slow_engine_is_not_a_stuck_one(statistics, clock):
    finish(statistics, latency=9000.0)
    statistics.arrived()
    for _ in range(20):
        clock.now += 1.0
        statistics.arrived()
    assert statistics.report().level is Level.OK
    clock.now += 4.0
    statistics.arrived()
    clock.now += 4.0
    assert statistics.report().level is Level.WARN


def test_level_is_about_what_is_new(statistics):
    assert statistics.report().level is Level.OK
    statistics.dropped_malformed('data', '5 bytes of data')
    report = statistics.report()
    assert report.level is Level.WARN and '1 malformed messages: 5 bytes' in report.message
    assert statistics.report().level is Level.OK
    statistics.dropped_malformed('data', '5 bytes of data')
    statistics.dropped_failed('out of memory')
    report = statistics.report()
    assert report.level is Level.ERROR and 'out of memory' in report.message
    assert report.values['last problem'] == 'out of memory'


@pytest.mark.parametrize('first', ['failed', 'reduced', 'malformed'])
def test_each_kind_of_problem_is_told_by_its_own_text(statistics, first):
    count = {'failed': lambda: statistics.dropped_failed('engine broken'),
             'reduced': lambda: statistics.reduced_to_one_step('memory full'),
             'malformed': lambda: statistics.dropped_malformed('data', 'driver cuts images')}
    count.pop(first)()
    expected = {'failed': '1 frames failed: engine broken',
                'reduced': '1 frames ran one step only: memory full',
                'malformed': '1 malformed messages: driver cuts images'}
    assert statistics.report().message == expected.pop(first)
    for other in count.values():
        other()
    report = statistics.report()
    assert report.message in expected.values()
    assert report.values['last problem'] == list(expected.values())[-1].partition(': ')[2]


def finish_in_time(statistics, late, of, deadline_ms=50.0):
    for number in range(of):
        latency = deadline_ms + 1 if number < late else deadline_ms / 2
        finish(statistics, latency=latency, deadline=deadline_ms)


@pytest.mark.parametrize('late, of, level', [
    (0, 51, Level.OK), (2, 51, Level.OK), (3, 51, Level.WARN), (1, 20, Level.WARN),
    (3, 60, Level.WARN), (5, 100, Level.WARN), (4, 100, Level.OK), (49, 100, Level.WARN),
    (50, 100, Level.ERROR), (51, 51, Level.ERROR), (1, 1, Level.ERROR)])
def test_missed_deadlines_raise_the_level(statistics, late, of, level):
    finish_in_time(statistics, late, of)
    report = statistics.report()
    assert report.level is level
    assert (f'{late} of {of} deadlines missed (50 ms): raise deadline_ms, or use '
            in report.message) == (level > Level.OK)
    assert report.values['deadline missed'] == f'{late} of {of}'


def test_missed_deadlines_are_forgotten_with_newer_frames_with_time_and_with_the_deadline(
        statistics, clock):
    finish_in_time(statistics, 51, 51)
    clock.now = 1.0
    assert statistics.report().level is Level.ERROR
    finish_in_time(statistics, 0, 100)
    assert statistics.report().level is Level.OK
    finish_in_time(statistics, 20, 20)
    assert statistics.report().level is Level.WARN
    clock.now = 12.0
    assert statistics.report().level is Level.OK
    finish_in_time(statistics, 5, 5)
    assert statistics.report().level is Level.ERROR
    finish_in_time(statistics, 0, 1, deadline_ms=100.0)
    assert statistics.report().level is Level.OK
    finish_in_time(statistics, 5, 5)
    finish(statistics, latency=60.0)
    assert statistics.report().level is Level.OK, 'there is no deadline any more'
    assert statistics.report().values['deadline missed'] == '81 of 182'


@pytest.mark.parametrize('deadline_ms', [0.0, 60.0])
def test_frames_are_not_judged_by_a_deadline_that_was_changed_since(statistics, deadline_ms):
    finish_in_time(statistics, 5, 5)
    assert statistics.report(50.0).level is Level.ERROR
    for asked in (deadline_ms, 50.0):
        report = statistics.report(asked)
        assert report.level is Level.OK and 'deadlines' not in report.message
    assert report.values['deadline missed'] == '5 of 5'


def test_the_severest_finding_gives_level_and_message(statistics):
    finish_in_time(statistics, 60, 60)
    statistics.dropped_malformed('data', '5 bytes of data')
    report = statistics.report()
    assert report.level is Level.ERROR and report.message.startswith('60 of 60 deadlines missed')
    finish_in_time(statistics, 0, 90)
    statistics.dropped_failed('out of memory')
    report = statistics.report()
    assert report.level is Level.ERROR and '1 frames failed: out of memory' in report.message
    report = statistics.report()
    assert report.level is Level.WARN and report.message.startswith('10 of 100 deadlines missed')


def test_times_and_iterations_are_reported(statistics):
    for iterations in (1, 3):
        finish(statistics, iterations, latency=10.0 * iterations)
    values = statistics.report().values
    assert values['iterations used (last)'] == '3'
    assert values['iterations used (mean)'] == '2.00'
    assert values['latency p50 (ms)'] == '20.00' and values['age p95 (ms)'] == '20.00'
    assert values['derain p50 (ms)'] == '4.00'


def test_stages_that_no_newer_frame_has_are_forgotten(statistics):
    for timings, count in (({'derain': 4.0, 'attend': 8.0}, 300), ({'derain': 4.0}, 299)):
        for _ in range(count):
            statistics.done(FrameNumbers(3, (48, 64), 1.0, 2.0, 0.0, timings), 20.0)
    assert statistics.report().values['attend p50 (ms)'] == '8.00'
    finish(statistics, age=None)
    values = statistics.report().values
    assert [name for name in values if name.endswith('p50 (ms)')] == [
        'age p50 (ms)', 'latency p50 (ms)', 'derain p50 (ms)']


def test_stamps_of_another_clock_give_no_age(statistics):
    finish(statistics, age=None)
    values = statistics.report().values
    assert 'age p50 (ms)' not in values and 'latency p50 (ms)' in values


def test_silence_is_measured_from_the_last_frame(statistics, clock):
    assert statistics.silence() is None
    statistics.arrived()
    clock.now = 7.0
    assert statistics.silence() == 7.0


def test_counting_from_several_threads_loses_nothing(statistics):
    def count():
        for _ in range(2000):
            statistics.arrived()
            finish(statistics)
            statistics.dropped_malformed('size', 'empty')

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        statistics.report()
        thread.join()
    values = statistics.report().values
    assert (values['received'], values['processed'], values['malformed']) == ('6000',) * 3


def test_throttle_lets_one_through_and_counts_the_rest(clock):
    throttle = Throttle(5.0, clock)
    assert throttle.passes('step') == 0
    assert [throttle.passes('step') for _ in range(3)] == [None] * 3
    assert throttle.passes('size') == 0
    clock.now = 5.0
    assert throttle.passes('step') == 3
    clock.now = 10.0
    assert throttle.passes('step') == 0


def test_throttle_counts_what_several_threads_hand_it(clock):
    class Key(str):
        def __hash__(self):
            time.sleep(1e-4)  # others run between the look into the table and the change of it
            return super().__hash__()

    throttle, passed = Throttle(5.0, clock), []
    threads = [threading.Thread(target=lambda: passed.extend(
        throttle.passes(Key('step')) for _ in range(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.now = 5.0
    assert passed.count(0) == 1 and passed.count(None) == 59
    assert throttle.passes('step') == 59


def test_memory_is_plausible():
    memory = resident_mib()
    assert math.isnan(memory) or 5 < memory < 1e5
