# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of one machine: spawned processes, replaced when they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ubcn_ros.bags.fleet.pool import Pool, PoolWorker, WorkerEnded
from ubcn_ros.bags.fleet.tasks import TaskOutcome, attempt
from ubcn_ros.stopping import Stopped, stop_on_signals

GRACE_S = 30.0
"""Seconds that a worker has to finish its frame when told to end, before it is killed."""


class Workers(Pool):
    """
    Runs tasks in processes of this machine.

    :param count: processes.
    :param initializer: called in each with its number, from 0, before anything else; picklable.
    """

    def __init__(self, count: int, initializer: Callable[[int], None] | None = None):
        super().__init__([_Process(number, initializer) for number in range(count)])

    def __exit__(self, *_: object) -> None:
        """End the workers; their tasks can be resumed."""
        for worker in self.workers:  # all at once
            worker.terminate()
        end = time.monotonic() + GRACE_S
        for worker in self.workers:
            worker.end(max(0.0, end - time.monotonic()))

    def _speaking(self, timeout_s: float) -> list[PoolWorker]:
        found = set(wait([handle for worker in self.workers for handle in worker.handles],
                         timeout_s))
        return [worker for worker in self.workers if not found.isdisjoint(worker.handles)]


class _Process(PoolWorker):
    remedy = 'look at what it printed, or take fewer workers (--workers)'
    process: BaseProcess | None = None
    connection: Connection

    def __init__(self, number: int, initializer: Callable[[int], None] | None):
        super().__init__(number)
        self._initializer = initializer

    def __str__(self) -> str:
        return f'worker {self.name} (process {self.process.pid})'

    @property
    def handles(self) -> list[Any]:
        return [self.connection, self.process.sentinel]

    def terminate(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()

    def end(self, grace_s: float = GRACE_S) -> None:
        """End it, after so many seconds in any case."""
        if self.process is None:
            return
        self.process.terminate()
        self._join(grace_s)
        self.connection.close()

    def _begin(self) -> None:
        context = multiprocessing.get_context('spawn')
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, daemon=True, name=f'worker {self.name}',
            args=(theirs, self.name, self.number, self._initializer))
        self.process.start()
        theirs.close()

    def _send(self, task: Callable[[], Any]) -> None:
        with suppress(OSError):  # it has ended, which `_receive` tells
            self.connection.send(task)

    def _receive(self) -> TaskOutcome | None:
        with suppress(EOFError, OSError):
            if self.connection.poll():
                return self.connection.recv()
        self._join(GRACE_S)
        raise WorkerEnded(_ending(self.process.exitcode))

    def _join(self, grace_s: float) -> None:
        self.process.join(grace_s)
        self.process.kill()
        self.process.join()


def _ending(code: int) -> str:
    """Say how a process ended."""
    if code < 0:
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
            connection.send(attempt(name, connection.recv()))
    # a thread inside native code would be torn down with the interpreter, and complain
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
