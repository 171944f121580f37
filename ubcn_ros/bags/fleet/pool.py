# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers that run a task each at a time and are replaced when they end, wherever they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.fleet.tasks import TaskOutcome
from ubcn_ros.stopping import signals_held

_EARLY_ENDS = 3  # of one worker in a row, before it could work


class WorkerEnded(Exception):
    """A worker is gone; the text says how, like 'ended with exit code 3'."""


class PoolWorker:
    """
    Base: a place for one worker. Subclasses start it, talk to it and end it.

    `name` is that of its outcomes, `ready` is whether it has reported itself, `task` is what it
    runs.
    """

    remedy: str
    """What the error advises where workers end before they can work."""

    def __init__(self, number: int):
        self.number, self.name = number, str(number + 1)
        self.ready = False
        self.task: Callable[[], Any] | None = None
        self._early_ends = 0

    def __str__(self) -> str:
        return f'worker {self.name}'

    def begin(self) -> None:
        """Start it."""
        self.ready, self.task = False, None
        with signals_held():  # it begins with what its parent blocks
            self._begin()

    def run(self, task: Callable[[], Any]) -> None:
        """Let it run a task."""
        self.task = task
        with signals_held():
            self._send(task)

    def collect(self) -> TaskOutcome | None:
        """
        Take what it said; replace it where it has ended, or its task was lost.

        :return: the outcome of its task, if it had one.
        :raises BagError: it ends again and again before it can work.
        """
        task, self.task = self.task, None
        try:
            outcome = self._receive()
        except WorkerEnded as ending:
            outcome = TaskOutcome(self.name, error=f'{self} {ending}', lost=True)
            self._early_ends = 0 if self.ready else self._early_ends + 1
            if self._early_ends >= _EARLY_ENDS:
                raise BagError(f'worker {self.name} ends before it can work: it {ending}; '
                               f'{self.remedy}') from ending
        if outcome is None:
            self.ready = True
            return None
        if outcome.lost:
            self.end()
            self.begin()
        return outcome if task is not None else None

    def end(self) -> None:
        """End it; its task can be resumed."""
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _send(self, task: Callable[[], Any]) -> None:
        raise NotImplementedError

    def _receive(self) -> TaskOutcome | None:
        """Return the outcome of its task; None where it says that it is there."""
        raise NotImplementedError


class Pool:
    """Base: workers of one kind; a context manager that begins and ends them."""

    def __init__(self, workers: Sequence[PoolWorker] = ()):
        self.workers = list(workers)

    def __enter__(self) -> Any:
        try:
            for worker in self.workers:
                worker.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers; their tasks can be resumed."""
        for worker in self.workers:
            worker.end()

    def idle(self) -> list[str]:
        """Name the workers that have nothing to do."""
        return [worker.name for worker in self.workers if worker.ready and worker.task is None]

    def start(self, worker: str, task: Callable[[], Any]) -> None:
        """Let an idle worker run a task."""
        next(each for each in self.workers if each.name == worker).run(task)

    def wait(self, timeout_s: float) -> list[TaskOutcome]:
        """
        Wait until something happens; return the tasks that ended.

        :raises BagError: workers end again and again before they can work, or all are gone.
        """
        outcomes = [worker.collect() for worker in self._speaking(timeout_s)]
        return [outcome for outcome in outcomes if outcome is not None]

    def _speaking(self, timeout_s: float) -> list[PoolWorker]:
        """Wait for workers that said something or ended."""
        raise NotImplementedError
