# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers on a stand-in for Ray: how cores are shared out, and what becomes of errors."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fleet_workers import Told

from ubcn_ros.bags import BagError
from ubcn_ros.bags.fleet.ray import RayWorkers


class RayError(Exception):
    """As Ray's own errors are derived."""


class RaySystemError(RayError):
    """Of the cluster."""


class OutOfMemoryError(RayError):
    """Of a worker that Ray ended for want of memory; no RayActorError."""


class Ray:
    """
    A cluster whose actors are in this process; a reference is what answers.

    `machines` are cores by name; `failures` is what running tasks raises first.
    """

    exceptions = SimpleNamespace(RayError=RayError, RaySystemError=RaySystemError)

    def __init__(self, **machines):
        self._machines, self.failures = machines, []
        self.asked, self.killed = [], 0

    def init(self, **_):
        pass

    def shutdown(self):
        pass

    def nodes(self):
        return [{'Alive': True, 'Resources': {'CPU': float(cores)}, 'NodeManagerHostname': name}
                for name, cores in self._machines.items()]

    def cluster_resources(self):
        return {'CPU': float(sum(self._machines.values()))}

    def remote(self, **options):
        self.asked.append(options['num_cpus'])
        return lambda kind: SimpleNamespace(remote=lambda *arguments: self._actor(
            kind(*arguments)))

    def kill(self, actor):
        self.killed += 1

    def wait(self, references, **_):
        return references, []

    def get(self, reference):
        return reference()

    def _actor(self, actor):
        def run(*arguments):
            def answer():
                if self.failures:
                    raise self.failures.pop(0)
                return actor.run(*arguments)
            return answer
        return SimpleNamespace(
            hello=SimpleNamespace(remote=lambda probe: lambda: actor.hello(probe)),
            run=SimpleNamespace(remote=run))


@pytest.fixture
def workers(monkeypatch, tmp_path):
    """Make workers of a cluster: `workers(ray, **options)`."""
    def make(ray, **options):
        monkeypatch.setitem(sys.modules, 'ray', ray)
        return RayWorkers('auto', tmp_path / 'out', 'cpu', initializer=abs, **options)
    return make


@pytest.mark.parametrize('error', [OutOfMemoryError('task was killed'), RayError('unschedulable')])
def test_a_worker_that_ends_in_any_way_is_replaced_and_its_task_lost(workers, error):
    ray = Ray(a=2)
    ray.failures = [error]
    with workers(ray) as pool:
        assert pool.wait(0) == []
        (worker,) = pool.idle()
        pool.start(worker, Told('done'))
        (outcome,) = pool.wait(0)
        assert outcome.lost and f'is gone ({error})' in outcome.error and ray.killed == 1
        pool.wait(0)
        pool.start(pool.idle()[0], Told('done'))
        assert [outcome.value for outcome in pool.wait(0)] == ['done']


def test_a_cluster_that_is_gone_ends_all(workers):
    ray = Ray(a=2)
    ray.failures = [RaySystemError('no answer')]
    with workers(ray) as pool:
        pool.wait(0)
        pool.start(pool.idle()[0], Told('done'))
        with pytest.raises(BagError, match='cluster at auto is gone .no answer.: .*--resume'):
            pool.wait(0)


@pytest.mark.parametrize('machines, count, threads', [
    ([8, 8], None, 8), ([8, 8], 2, 8), ([8, 8], 3, 4), ([8, 8], 1, 8), ([8, 8], 4, 4),
    ([64, 4], None, 32), ([12, 4], 4, 4), ([2, 2], 9, 1), ([0, 8], None, 8), ([0], None, 1)])
def test_all_workers_have_room_on_machines_of_their_own_size(workers, machines, count, threads):
    """None needs more cores than a machine has left for it; of too many, each has one."""
    ray = Ray(**{f'm{number}': cores for number, cores in enumerate(machines)})
    with workers(ray, count=count) as pool:
        assert ray.asked == [threads] * len(pool.workers)


def test_more_threads_than_any_machine_has_are_refused(workers):
    with pytest.raises(BagError, match='--threads is 16, but the largest machine of the Ray '
                                       'cluster, big, has 12 CPUs .*--threads 12 or less'):
        workers(Ray(small=4, big=12), threads=16).__enter__()
    ray = Ray(small=4, big=12)
    with workers(ray, threads=12):
        assert ray.asked == [12, 12]
    with workers(Ray(head=0), threads=16) as pool:  # whose machines come when asked for
        assert len(pool.workers) == 1


def test_workers_end_where_shared_storage_is_gone(workers, monkeypatch):
    def unlink(*_, **__):
        raise OSError('Stale file handle')
    ray = Ray(a=2)
    with workers(ray):
        monkeypatch.setattr(Path, 'unlink', unlink)
    assert ray.killed == 1
