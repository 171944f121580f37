# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stop as Ctrl-C does on other signals too, and never in the middle of a write or of a lock."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SEND_AGAIN_SECONDS = 0.05  # the destructor has ended by then
_NO_MORE = object()

Given = TypeVar('Given')
Made = TypeVar('Made')


class _Hold:
    """Of the main thread, the only one that Python's handlers run in."""

    depth = 0
    waiting: int | None = None  # signal


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; `exit_code` is what a shell expects then."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.exit_code = 128 + number


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """
    Raise Stopped on SIGINT, SIGTERM and SIGHUP, so that what is open is closed.

    SIGINT also where it is ignored, as in a shell script's background jobs; SIGHUP not where it
    is ignored, as under nohup. One that comes in a destructor, which swallows exceptions, is
    sent again. Elsewhere than in the main thread nothing changes.
    """
    def stop(number: int, frame: Any) -> None:
        while frame is not None and frame.f_code is not send_lost.__code__:
            frame = frame.f_back
        if frame is not None:  # raised in there, it would be lost, too
            lost.append(number)
            return
        lost.clear()
        if _Hold.depth:
            _Hold.waiting = number
        else:
            raise Stopped(number)

    def send_lost(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            lost.append(unraisable.exc_value.number)
        else:
            show_lost(unraisable)
        if lost and threading.current_thread() is threading.main_thread():
            timer = threading.Timer(_SEND_AGAIN_SECONDS, send)
            timer.start()
            again.append(timer)

    def send() -> None:
        if lost:  # else another was heard since; to this thread, it cannot come late
            signal.pthread_kill(threading.main_thread().ident, lost[-1])

    lost: list[int] = []
    again: list[threading.Timer] = []
    show_lost = sys.unraisablehook
    in_main = threading.current_thread() is threading.main_thread()
    if in_main:
        sys.unraisablehook = send_lost
    try:
        with _heard_by(stop):
            try:
                yield
            finally:  # sent later, it would end the process
                with signals_held():
                    for timer in again:
                        timer.cancel()
                        timer.join()
        if lost:
            raise Stopped(lost[-1])
    finally:
        if in_main:
            sys.unraisablehook = show_lost
        for timer in again:
            timer.cancel()


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """
    Note SIGINT, SIGTERM and SIGHUP in a list, for a block that looks there where it can stop.

    :raises Stopped: at the end of the block, where one was noted.
    """
    noted: list[int] = []
    with _heard_by(lambda number, _frame: noted.append(number)):
        yield noted
    if noted:
        raise Stopped(noted[-1])


@contextmanager
def _heard_by(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {}
    try:
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread: signals are another's business
        pass
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def signals_held() -> Iterator[None]:
    """
    Hold SIGINT, SIGTERM and SIGHUP back in this thread until the block ends.

    :raises Stopped: at the end of the block, where `stop_on_signals` got one meanwhile.
    """
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    _Hold.depth += in_main  # another thread may take the signal: the handler runs here even so
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        yield
    finally:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        finally:
            _Hold.depth -= in_main
        if in_main and not _Hold.depth and _Hold.waiting is not None:
            number, _Hold.waiting = _Hold.waiting, None
            raise Stopped(number)


def in_whole_steps(steps: Generator[Made, None, None]) -> Generator[Made, None, None]:
    """
    Yield what a generator does, which no signal interrupts; it is closed when this one is.

    What a signal raises in the middle of a lock's methods leaves it locked, and another thread
    that shares it, as those of a pool do, waits for ever.

    :raises Stopped: after a step, where `stop_on_signals` got a signal meanwhile.
    """
    with closing(steps):
        while True:
            with signals_held():
                made = next(steps, _NO_MORE)
            if made is _NO_MORE:
                return
            yield made


def map_in_threads(make: Callable[[Given], Made], given: Iterable[Given]
                   ) -> Generator[Made, None, None]:
    """
    Yield what threads make of each item, in order; where a signal stops it, what is begun ends.

    :raises Stopped: as `in_whole_steps`.
    """
    def results() -> Generator[Made, None, None]:
        with ThreadPoolExecutor() as pool:
            yield from pool.map(make, given)

    return in_whole_steps(results())


def leave_signals_to_parent() -> None:
    """
    Let this process, a worker of its parent's, end when the parent says so or has ended.

    `timeout` and systemd send a signal to all processes at once; the parent, which gets it, too,
    may have to finish something with what its workers do.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(), os.getppid()),
                     daemon=True).start()


def _end_with(parent: BaseProcess, started_by: int) -> None:
    # alone, getppid may tell of a fork server; processes that were forked later keep the pipe open
    # that is_alive looks at
    while parent.is_alive() and os.getppid() == started_by:
        told = signal.sigtimedwait([signal.SIGTERM], 1.0)
        if told is not None and told.si_pid == parent.pid:
            break
    os._exit(0)
