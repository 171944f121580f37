# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Signals as exceptions, at the right place."""

import os
import signal
import threading
import time

import pytest

from ubcn_ros.stopping import Stopped, signals_held, stop_on_signals


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('others', [0, 1])
def test_a_signal_waits_for_the_end_of_a_write(others, number):
    """Also where another thread takes it, as those of PyTorch and DDS do."""
    steps, done = [], threading.Event()
    for _ in range(others):
        threading.Thread(target=done.wait, daemon=True).start()
    with pytest.raises(Stopped, match=number.name), stop_on_signals():
        with signals_held():
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            steps.append('written')
        steps.append('too late')
    done.set()
    assert steps == ['written']


def test_handlers_are_as_before_afterwards():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_under_nohup_a_closed_terminal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_leaves_signals_alone():
    seen = []

    def work():
        with stop_on_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
