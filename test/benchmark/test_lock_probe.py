# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The GIL as a thread finds it that wakes now and then."""

import io
import threading
import time

import numpy as np
import pytest

from ubcn_ros.benchmark.lock_probe import (
    LockProbe,
    _RunQueue,
    lock_figures,
    main,
    probe_cpu_seconds,
    read_samples,
)


def test_figures_by_hand(tmp_path):
    idle = [(1.0 + n / 100, 0.1, 0.0) for n in range(50)]
    # ten probes, of which three wait for 1, 2 and 3 ms
    during = [(2.0 + n / 10, 0.1 + max(0, n - 6), 0.0) for n in range(10)]
    (tmp_path / 'samples').write_bytes(np.array(idle + during).tobytes())
    found = lock_figures(read_samples(tmp_path / 'samples'), 2.0, 3.0, 20)
    assert found == {'busy_percent': 30.0, 'wait_p50_ms': 2.0, 'wait_p95_ms': pytest.approx(2.9),
                     'wait_max_ms': 3.0, 'held_ms_per_frame': 15.0}


def test_probes_that_are_late_on_an_idle_node_do_not_count():
    idle = [(1.0 + n / 100, 0.1 + n % 2, 0.0) for n in range(49)]  # 24 of 49
    during = [(2.0 + n / 49, 0.1 + n % 2, 0.0) for n in range(49)]
    assert lock_figures(np.array(idle + during), 2.0, 3.0, 20)['held_ms_per_frame'] == 0.0


def test_a_node_that_left_no_samples_has_no_figures(tmp_path):
    samples = read_samples(tmp_path / 'absent')
    assert set(lock_figures(samples, 0.0, 1.0, 5).values()) == {None}
    assert probe_cpu_seconds(samples, 0.0, 1.0) == 0.0


def test_the_probe_tells_its_own_part_of_the_cpu_time():
    samples = np.array([(1.0 + n / 10, 0.1, 0.02 * n) for n in range(11)])
    assert probe_cpu_seconds(samples, 1.25, 1.75) == pytest.approx(0.1)
    file, before = io.BytesIO(), time.process_time()
    with LockProbe(file):
        wait_for_samples(file, 50)
    used = time.process_time() - before
    samples = np.frombuffer(file.getvalue()).reshape(-1, 3)
    found = probe_cpu_seconds(samples, samples[0, 0], samples[-1, 0])
    assert 0 < found <= used, 'of the thread alone'


def wait_for_samples(file, count):
    """Wait until so many more have come: how long that takes depends on what else runs."""
    there, end = file.tell(), time.monotonic() + 120.0
    while file.tell() < there + 24 * count:
        assert time.monotonic() < end, 'the probe stands still'
        time.sleep(0.01)


def test_a_thread_that_holds_the_lock_is_noticed():
    file = io.BytesIO()
    done = threading.Event()

    def hold():
        while not done.is_set():
            sum(range(20_000))  # pure Python lets go only when asked to, every 5 ms

    with LockProbe(file):
        wait_for_samples(file, 100)
        start = time.monotonic()
        thread = threading.Thread(target=hold)
        thread.start()
        wait_for_samples(file, 40)
        done.set()
        thread.join()
    samples = np.frombuffer(file.getvalue()).reshape(-1, 3)
    found = lock_figures(samples, start, time.monotonic(), 10)
    assert found['busy_percent'] > 30 and found['wait_max_ms'] > 0.2


def test_the_probe_ends_with_a_node_that_raises(tmp_path, monkeypatch):
    def failing(*_):
        raise RuntimeError

    monkeypatch.setattr('ubcn_ros.node.main.main', failing)
    before = threading.active_count()
    with pytest.raises(RuntimeError):
        main([str(tmp_path / 'samples')])
    assert threading.active_count() == before


def test_waiting_for_a_processor_is_not_waiting_for_the_lock(monkeypatch):
    """A queue that says so of all the time that was slept leaves nothing of the lateness."""
    queued = iter(range(0, 10**9, 1000))
    monkeypatch.setattr('ubcn_ros.benchmark.lock_probe._RunQueue.waited_ms',
                        lambda self: float(next(queued)))
    file = io.BytesIO()
    with LockProbe(file):
        wait_for_samples(file, 3)
    assert np.median(np.frombuffer(file.getvalue())[1::3]) < -900


def test_where_the_system_does_not_tell_of_its_run_queue_all_lateness_counts(monkeypatch):
    with _RunQueue() as queue:
        assert 0 <= queue.waited_ms() <= queue.waited_ms()

    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr('os.open', missing)
    with _RunQueue() as queue:
        assert queue.waited_ms() == 0.0
