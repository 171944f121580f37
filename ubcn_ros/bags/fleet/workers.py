# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of one machine: spawned processes, replaced when they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.fleet.tasks import Outcome, attempt
from ubcn_ros.stopping import Stopped, signals_held, stop_on_signals

GRACE_S = 30.0
"""For a worker to finish its frame when it is to end; it is killed then."""
_EARLY_ENDS = 3  # of one worker in a row, before it could work


class Workers:
    """
    Runs tasks in processes, a `Pool`.

    A worker that ends, or whose task failed for a reason that may be its own, is replaced.

    :param count: processes.
    :param initializer: called in each with its number, from 0, before anything else; picklable.
    """

    def __init__(self, count: int, initializer: Callable[[int], None] | None = None):
        self._workers = {str(number + 1): _Worker(str(number + 1), number, initializer)
                         for number in range(count)}

    def __enter__(self) -> Workers:
        try:
            for worker in self._workers.values():
                worker.spawn()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers: what they were at can be gone on with."""
        workers = [worker for worker in self._workers.values() if worker.process is not None]
        for worker in workers:
            worker.process.terminate()
        end = time.monotonic() + GRACE_S
        for worker in workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.connection.close()

    def idle(self) -> list[str]:
        """Name the workers that have nothing to do."""
        return [name for name, worker in self._workers.items()
                if worker.ready and worker.task is None]

    def start(self, worker: str, task: Callable[[], Any]) -> None:
        """Let an idle worker run a task."""
        self._workers[worker].run(task)

    def wait(self, timeout_s: float) -> list[Outcome]:
        """
        Wait until something happens; return the tasks that ended.

        :raises BagError: a worker ends again and again before it can work.
        """
        there = wait([handle for worker in self._workers.values() for handle in worker.handles],
                     timeout_s)
        outcomes = [worker.collect() for worker in self._workers.values()
                    if not there.isdisjoint(worker.handles)] if (there := set(there)) else []
        return [outcome for outcome in outcomes if outcome is not None]


class _Worker:
    """One of them; `ready` once it has said that it is there."""

    process: BaseProcess | None = None
    connection: Connection
    ready = False
    task: Callable[[], Any] | None = None
    early_ends = 0

    def __init__(self, name: str, number: int, initializer: Callable[[int], None] | None):
        self.name, self._number, self._initializer = name, number, initializer

    @property
    def handles(self) -> list[Any]:
        return [self.connection, self.process.sentinel]

    def spawn(self) -> None:
        context = multiprocessing.get_context('spawn')
        self.connection, theirs = context.Pipe()
        self.ready, self.task = False, None
        self.process = context.Process(target=_serve, daemon=True, name=f'worker {self.name}',
                                       args=(theirs, self.name, self._number, self._initializer))
        with signals_held():  # a worker begins with what its parent blocks
            self.process.start()
        theirs.close()

    def run(self, task: Callable[[], Any]) -> None:
        self.task = task
        with suppress(OSError):  # it has ended, which `collect` tells
            self.connection.send(task)

    def collect(self) -> Outcome | None:
        """Take what it sent, or replace it; return the outcome of its task, if that ended."""
        outcome = None
        with suppress(EOFError, OSError):
            if self.connection.poll():
                outcome = self.connection.recv()
                self.ready = True
                if outcome is None:
                    return None
                outcome, self.task = outcome._replace(task=self.task), None
                if not outcome.lost:
                    self.early_ends = 0
                    return outcome
                self.process.terminate()
        return self._replace(outcome)

    def _replace(self, outcome: Outcome | None) -> Outcome | None:
        self.process.join(GRACE_S)
        self.process.kill()
        self.process.join()
        how = _ending(self.process.exitcode)
        if outcome is None and self.task is not None:
            outcome = Outcome(self.name, self.task, lost=True,
                              error=f'worker {self.name} (process {self.process.pid}) {how}')
        self.early_ends = 0 if self.ready else self.early_ends + 1
        if self.early_ends >= _EARLY_ENDS:
            raise BagError(f'worker {self.name} ends before it can work: it {how}; look at what '
                           'it printed, or take fewer workers (--workers)')
        self.connection.close()
        self.spawn()
        return outcome


def _ending(code: int | None) -> str:
    """Say how a process ended."""
    if code is not None and code < 0:
        with suppress(ValueError):
            return f'was ended by {signal.Signals(-code).name}'
    return f'ended with exit code {code}'


def _serve(connection: Connection, name: str, number: int,
           initializer: Callable[[int], None] | None) -> None:
    """Run tasks until SIGTERM, or until the parent is gone; Ctrl-C is the parent's business."""
    with suppress(EOFError, OSError, Stopped), stop_on_signals():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_parent, daemon=True).start()
        if initializer is not None:
            initializer(number)
        connection.send(None)
        while True:
            connection.send(attempt(name, connection.recv())._replace(task=None))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
