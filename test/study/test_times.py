# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `ubcn study` times: which calls count, and what stands in one table."""

import pytest
import torch

from ubcn_ros.benchmark.engine import TimedCall
from ubcn_ros.study.times import time_all


@pytest.fixture
def timed(monkeypatch):
    """Function that times names which do nothing; returns what was called in turn."""
    log = []

    class Noted(TimedCall):
        def measure(self, image):
            log.append('timed')
            super().measure(image)

    def call(_):
        log.append('call')
        return {}

    def peak(run, _):
        log.append('memory of')
        run()
        return 0.0

    monkeypatch.setattr('ubcn_ros.study.times.timed_baseline', lambda *_: Noted(
        {}, call, torch.device('cpu')))
    monkeypatch.setattr('ubcn_ros.runtime.peak_memory.peak_mib', peak)

    def made(times, *names, frames=2, precision='fp32'):
        log.clear()
        time_all(times, names, {}, precision=precision, size=(64, 48), frames=frames, iterations=1,
                 done=lambda _: None)
        return log
    return made


def test_calls_that_prepare_graphs_count_neither_as_time_nor_as_memory(timed):
    # graphs are made before the second frame of a size
    assert timed({}, 'ddn') == ['memory of', 'call', 'call', 'timed', 'call', 'timed', 'call',
                                'memory of', 'call']


def test_times_of_other_threads_and_processors_stand_apart(timed, one_thread, monkeypatch):
    times, name = {}, 'ubcn_ros.runtime.device.processor_name'
    monkeypatch.setattr(name, lambda _: 'AMD EPYC 9354')
    timed(times, 'ddn')
    torch.set_num_threads(2)  # one_thread sets it back
    timed(times, 'ddn', 'prenet')
    monkeypatch.setattr(name, lambda _: 'Intel Core i7')
    timed(times, 'prenet')
    assert {where: [*sizes['64x48, fp32']] for where, sizes in times.items()} == {
        'cpu (AMD EPYC 9354, 1 thread)': ['ddn'],
        'cpu (AMD EPYC 9354, 2 threads)': ['ddn', 'prenet'],
        'cpu (Intel Core i7, 2 threads)': ['prenet']}


def test_times_stand_below_the_precision_that_auto_stands_for(timed, monkeypatch):
    times = {}
    monkeypatch.setattr('ubcn_ros.runtime.device.cpu_computes_bf16', lambda: True)
    timed(times, 'ddn', precision='auto')
    assert [[*sizes] for sizes in times.values()] == [['64x48, bf16']]


def test_more_frames_are_timed_anew_and_fewer_are_not(timed, one_thread):
    times = {}
    timed(times, 'ddn')
    for frames, count, kept in ((1, 0, 2), (2, 0, 2), (0, 0, 2), (5, 5, 5)):
        assert timed(times, 'ddn', frames=frames).count('timed') == count
        (sizes,) = times.values()
        assert sizes['64x48, fp32']['ddn']['frames'] == kept
