# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers on the machines of a Ray cluster: an actor each, replaced when it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ubcn_ros import __version__
from ubcn_ros.bags.errors import BagError, write_error
from ubcn_ros.bags.fleet.pool import Pool, PoolWorker, WorkerEnded
from ubcn_ros.bags.fleet.tasks import TaskOutcome, attempt
from ubcn_ros.bags.fleet.worker_devices import Setup
from ubcn_ros.stopping import signals_held

_CONNECT_S = 10.0
_POLL_S = 0.1


class _Machine(NamedTuple):
    """What a worker says of itself: `sees` is whether the outputs' folder is there, too."""

    name: str
    version: str
    sees: bool


class _Actor:
    """A worker, in its process."""

    def __init__(self, number: int, initializer: Callable[[int], None] | None) -> None:
        if initializer is not None:
            initializer(number)

    def hello(self, probe: Path) -> _Machine:
        """Say where this is."""
        return _Machine(f'{socket.gethostname()}:{os.getpid()}', __version__, probe.exists())

    def run(self, worker: str, task: Callable[[], Any]) -> TaskOutcome:
        """Run a task."""
        return attempt(worker, task)


class RayWorkers(Pool):
    """
    Runs tasks on a Ray cluster.

    Each worker has a GPU of the cluster, or its number of threads. Machines have to see bags and
    outputs at the same paths, and to have this package; one that does not is refused by name.
    Workers that Ray has no room for yet are there when it has.

    :param address: 'local' starts a cluster on this machine, 'auto' and others are there.
    :param shared: folder of the outputs; made where it is missing.
    :param device: of the engine; 'auto' and 'cuda' take the cluster's GPUs, one for a worker.
    :param count: workers; None: one for each GPU, or for each machine.
    :param threads: of each on the CPU; None: the most with which all have room at once.
    :param initializer: called in each with its number, from 0, before anything else; picklable.
    """

    def __init__(self, address: str, shared: Path, device: str = 'auto', count: int | None = None,
                 threads: int | None = None, initializer: Callable[[int], None] | None = None):
        import ray
        super().__init__()
        self.ray, self._address, self._device = ray, address, device
        self._count, self._threads, self._initializer = count, threads, initializer
        self._shared = shared.absolute()
        self.probe = self._shared / f'.ubcn-{uuid.uuid4().hex}'

    def __enter__(self) -> RayWorkers:
        try:
            self._shared.mkdir(parents=True, exist_ok=True)
            self.probe.touch()
        except OSError as error:
            raise write_error(self._shared, error) from error
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        self.workers = [_ActorWorker(number, self) for number in range(self._count)]
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """End the workers; their tasks can be resumed."""
        super().__exit__()
        self.ray.shutdown()
        with suppress(OSError):  # of storage that is gone
            self.probe.unlink(missing_ok=True)

    def wait(self, timeout_s: float) -> list[TaskOutcome]:
        """
        Wait until something happens; return the tasks that ended.

        :raises BagError: the cluster is gone, or no machine can work.
        """
        try:
            with signals_held():  # Ray makes another exception of what their handlers raise
                outcomes = super().wait(0)
            if not outcomes:
                time.sleep(min(timeout_s, _POLL_S))
        except (ConnectionError, self.ray.exceptions.RaySystemError) as error:
            raise BagError(f'the Ray cluster at {self._address} is gone ({error}): start it again '
                           'and go on with --resume') from error
        return outcomes

    def _speaking(self, timeout_s: float) -> list[PoolWorker]:
        waiting = {worker.pending: worker for worker in self.workers if worker.pending}
        if not waiting:
            return []
        found, _ = self.ray.wait(list(waiting), num_returns=len(waiting), timeout=timeout_s)
        return [waiting[reference] for reference in found]

    def _connect(self) -> None:
        """Join the cluster, and choose how many workers there are and what each gets."""
        quiet = {'log_to_driver': False, 'logging_level': 'error'}
        if self._address == 'local':
            quiet['include_dashboard'] = False
            cores = len(os.sched_getaffinity(0))
            quiet['num_cpus'] = max(cores, (self._count or 1) * (self._threads or 1))
        try:
            _knock(self._address)
            with signals_held(), _own_signals():
                self.ray.init(address=self._address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise BagError(f'no Ray cluster at {self._address}: {" ".join(str(error).split())}; '
                           'start one with `ray start --head`, or give local') from error
        found = self.ray.cluster_resources()
        gpus = int(found.get('GPU', 0)) if self._device in ('auto', 'cuda') else 0
        machines = sorted(((int(node['Resources'].get('CPU', 0)), node['NodeManagerHostname'])
                           for node in self.ray.nodes() if node['Alive']), reverse=True)
        self._count = self._count or gpus or max(1, sum(cores > 0 for cores, _ in machines))
        if not gpus:
            self._threads = _threads(self._threads, self._count, machines)
        self._resources = {'num_cpus': 1 if gpus else self._threads, 'num_gpus': 1 if gpus else 0}

    def actor(self, number: int) -> Any:
        """Start the actor of a worker, wherever the cluster has room."""
        remote = self.ray.remote(max_restarts=0, max_task_retries=0, scheduling_strategy='SPREAD',
                                 **self._resources)(_Actor)
        return remote.remote(number, self._initializer or Setup(self._threads))

    def refuse(self, worker: PoolWorker, machine: _Machine) -> None:
        """Leave out a worker that cannot work, and raise where none is left."""
        what = (f'does not see {self._shared}: bags and outputs have to lie on storage that all '
                'machines see at the same path' if machine.version == __version__ else
                f'has ubcn_ros {machine.version}, not {__version__}: install the same')
        worker.end()
        self.workers.remove(worker)
        if not self.workers:
            raise BagError(f'no machine of the cluster can work; {machine.name} {what}')


class _ActorWorker(PoolWorker):
    """Of an actor; `pending` is what Ray is to answer."""

    remedy = 'all machines need ubcn_ros[ray] in the same version'

    def __init__(self, number: int, pool: RayWorkers):
        super().__init__(number)
        self._pool = pool
        self._actor: Any = None
        self.pending: Any = None

    def end(self) -> None:
        """End it, also one that Ray only cannot reach: two would write one bag."""
        if self._actor is not None:
            with suppress(Exception):  # of a cluster that is gone
                self._pool.ray.kill(self._actor)

    def _begin(self) -> None:
        self._actor = self._pool.actor(self.number)
        self.pending = self._actor.hello.remote(self._pool.probe)

    def _send(self, task: Callable[[], Any]) -> None:
        self.pending = self._actor.run.remote(self.name, task)

    def _receive(self) -> TaskOutcome | None:
        ray, (reference, self.pending) = self._pool.ray, (self.pending, None)
        try:
            answer = ray.get(reference)
        except ray.exceptions.RaySystemError:  # the cluster is gone
            raise
        except ray.exceptions.RayError as error:  # of an actor, its memory, or its environment
            raise WorkerEnded(f'is gone ({_line(error)})') from error
        if isinstance(answer, TaskOutcome):
            return answer
        self.name = answer.name
        if answer.version != __version__ or not answer.sees:
            self._pool.refuse(self, answer)
        return None


def _threads(wanted: int | None, workers: int, machines: Sequence[tuple[int, str]]) -> int:
    """
    Choose the threads of each worker, all of which have to be on one machine.

    :param machines: cores and name of each, the largest first.
    :raises BagError: no machine has as many as are wanted.
    """
    most, name = machines[0] if machines else (0, '')
    if wanted is None:
        return next((number for number in range(most, 0, -1)
                     if sum(cores // number for cores, _ in machines) >= workers), 1)
    if wanted > most > 0:  # without any yet, machines may come when they are asked for
        raise BagError(f'--threads is {wanted}, but the largest machine of the Ray cluster, '
                       f'{name}, has {most} CPUs for it: give --threads {most} or less')
    return wanted


def _knock(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself waits for minutes."""
    host, separator, port = address.removeprefix('ray://').rpartition(':')
    if separator:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our handlers of signals, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(error: Exception) -> str:
    """Return what one of Ray's errors comes down to."""
    text = re.sub(r'\x1b\[[0-9;]*m', '', str(error))
    detail = re.search(r'exit detail: ([^.]*)', text)
    if detail:
        return detail[1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if re.match(r'[\w.]+Error: ', line)),
                lines[0] if lines else type(error).__name__)
