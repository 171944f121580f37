# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What workers of a fleet are set up with in tests: an engine that inverts, and an early end."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from drives import Engine

from ubcn_ros.bags.fleet.tasks import attempt
from ubcn_ros.bags.process import run


class Here:
    """A pool of one worker, in this process."""

    task = None

    def idle(self):
        return ['here'] if self.task is None else []

    def start(self, worker, task):
        self.task = task

    def wait(self, timeout_s):
        task, self.task = self.task, None
        if task is None:
            time.sleep(min(timeout_s, 0.05))
            return []
        return [attempt('here', task)]


@dataclass
class Inverting:
    """
    Sets a worker up, in its process.

    :param folder: a file in it counts the workers that ended.
    :param ends: how many of them are to end, each with its third frame.
    """

    folder: Path
    ends: int = 0

    def __call__(self, number):
        run.CHECKPOINT_S = 0.0
        run.load_engine = lambda options: Engine(self._end)

    def _end(self, seen):
        if seen != 3:
            return
        for place in range(self.ends):
            try:
                (self.folder / f'ended {place}').touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Told:
    """A task that returns, or raises, what it is told."""

    text: str
    error: type | None = None

    def __call__(self):
        if self.error:
            raise self.error(self.text)
        return self.text


@dataclass
class Kill:
    """A task that ends its worker."""

    number: int

    def __call__(self):
        os.kill(os.getpid(), self.number)


@dataclass
class Sleep:
    """A task that writes the number of its process and goes on for ever."""

    path: Path

    def __call__(self):
        partial = self.path.with_suffix('.partial')
        partial.write_text(str(os.getpid()))
        partial.rename(self.path)
        while True:
            signal.pause()


def leave(number):
    os._exit(3)


@dataclass
class Elsewhere:
    """Lets a worker see no file in a folder, as where it is not on shared storage."""

    folder: Path

    def __call__(self, number):
        there = Path.exists
        Path.exists = lambda path: path.parent != self.folder and there(path)
