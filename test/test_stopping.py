# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Signals as exceptions, at the right place."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from worker_process import work

from ubcn_ros.stopping import (
    _SEND_AGAIN_SECONDS,
    Stopped,
    in_whole_steps,
    map_in_threads,
    signals_held,
    signals_noted,
    stop_on_signals,
)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_noted_signal_stops_where_it_is_looked_for_or_at_the_end(number):
    before, steps = signal.getsignal(number), []
    with pytest.raises(Stopped, match=number.name), stop_on_signals():
        with signals_noted() as noted:
            assert not noted
            with signals_held():
                signal.raise_signal(number)
            steps.append([*noted])
        steps.append('too late')
    assert steps == [[number]] and signal.getsignal(number) == before
    with signals_noted():
        pass


def test_a_signal_waits_for_the_end_of_a_step_and_closes_what_makes_the_steps():
    def steps():
        try:
            for number in range(3):
                if number == 1:
                    signal.raise_signal(signal.SIGTERM)
                done.append(number)
                yield number
        finally:
            done.append('closed')

    done, taken = [], []
    with pytest.raises(Stopped), stop_on_signals():
        for number in in_whole_steps(steps()):
            taken.append(number)
    assert done == [0, 1, 'closed'] and taken == [0]


def test_threads_map_in_order_and_end_with_what_they_have_begun():
    def square(number):
        begun.append(number)
        if number == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.001)
        return number ** 2

    begun, taken = [], []
    with pytest.raises(Stopped), stop_on_signals():
        for result in map_in_threads(square, range(10_000)):
            taken.append(result)
    assert taken == [number ** 2 for number in range(len(taken))] and len(begun) < 5000
    assert not any(thread.name.startswith('ThreadPool') for thread in threading.enumerate())
    assert [*map_in_threads(str, [1, 2])] == ['1', '2']


class Last:
    """What a signal ends."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_a_destructor_is_sent_again(capfd):
    before = sys.unraisablehook
    with pytest.raises(Stopped, match='SIGTERM'), stop_on_signals():
        Last()
        time.sleep(10)
    assert sys.unraisablehook == before and capfd.readouterr().err == ''


def interrupted(name):
    """
    Return a method of a timer in which another signal comes the first time.

    To this thread: one to the process may be taken by another, after the block.
    """
    def method(timer):
        if not sent:
            sent.append(signal.raise_signal(signal.SIGTERM))
        return before(timer)

    before, sent = getattr(threading.Timer, name), []
    return method


def test_another_signal_before_it_is_sent_again_does_not_keep_it_from_that(monkeypatch, capfd):
    monkeypatch.setattr(threading.Timer, 'start', interrupted('start'))
    with pytest.raises(Stopped, match='SIGTERM'), stop_on_signals():
        Last()
        time.sleep(10)
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('another', [False, True])
def test_a_signal_in_a_destructor_is_not_sent_after_the_block(monkeypatch, another):
    """It is raised at its end; also where another one comes there."""
    if another:
        monkeypatch.setattr(threading.Timer, 'cancel', interrupted('cancel'))
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    try:
        with pytest.raises(Stopped, match='SIGTERM'), stop_on_signals():
            Last()
        time.sleep(4 * _SEND_AGAIN_SECONDS)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not heard


def test_of_two_signals_in_one_destructor_one_is_heard(capfd):
    class Busy:
        def __del__(self):
            signal.pthread_sigmask(signal.SIG_BLOCK, both)
            for number in both:  # to this thread: another one may be late
                signal.pthread_kill(threading.get_ident(), number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)

    both = [signal.SIGTERM, signal.SIGHUP]
    with pytest.raises(Stopped), stop_on_signals():
        Busy()
        time.sleep(10)
    assert capfd.readouterr().err == ''


def test_a_signal_in_a_destructor_is_raised_where_no_thread_can_start(monkeypatch, capfd):
    def no_thread(timer):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, 'start', no_thread)
    with pytest.raises(Stopped, match='SIGTERM'), stop_on_signals():
        Last()
    with pytest.raises(ValueError, match='of the block'), stop_on_signals():
        Last()
        raise ValueError('of the block')


def test_a_signal_while_another_error_of_a_destructor_is_shown_is_heard(monkeypatch):
    class Failing:
        def __del__(self):
            raise ValueError('lost')

    monkeypatch.setattr(sys, 'unraisablehook', lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match='SIGTERM'), stop_on_signals():
        Failing()
        time.sleep(10)


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


METHODS = ['fork', 'spawn', 'forkserver']
"""Ways to start a process; the last is the default of Python 3.14."""


@pytest.fixture(params=METHODS)
def worker(request):
    context = multiprocessing.get_context(request.param)
    ready = context.Event()
    made = context.Process(target=work, args=(ready,))
    made.start()
    try:
        assert ready.wait(30)
        yield made
    finally:  # or multiprocessing waits for it when the tests have ended
        made.kill()
        made.join()


def test_a_worker_ends_by_its_parents_word_alone(worker):
    for name in ('INT', 'HUP', 'TERM'):  # of another process, as of timeout or systemd
        subprocess.run(['kill', f'-{name}', str(worker.pid)], check=True)
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


_PARENT = """
import multiprocessing, os, signal, sys, time
from worker_process import work
context = multiprocessing.get_context(sys.argv[1])
started = [context.Event() for _ in range(2)]
for ready in started:
    context.Process(target=work, args=(ready,)).start()
for ready in started:
    ready.wait()
if sys.argv[1] == 'fork':  # one that goes on, with all that is open here
    other = os.fork()
    if not other:
        os.close(1)
        time.sleep(60)
    print(other, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize('method', METHODS)
def test_workers_end_with_their_parent(method):
    """The workers have the output, too, which is waited for."""
    done = subprocess.run([sys.executable, '-c', _PARENT, method], stdout=subprocess.PIPE,
                          timeout=30)
    for other in done.stdout.split():
        os.kill(int(other), signal.SIGKILL)
    assert done.returncode == -signal.SIGKILL
