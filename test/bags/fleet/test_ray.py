# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same on a local Ray of several processes, one of which is killed: skipped without Ray."""

import os
import sys

import pytest
from drives import drive, imu, processed, stored, write_bag
from fleet_workers import Elsewhere, Inverting

from ubcn_ros.bags import BagError
from ubcn_ros.bags.fleet import Fleet, pair_outputs
from ubcn_ros.bags.process import Options, read_sidecar

pytest.importorskip('ray')
from ubcn_ros.bags.fleet.ray import RayWorkers  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Where Ray's processes find what tests import."""
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, sys.path)))


def test_a_tree_on_ray_with_killed_workers_equals_one_process(tmp_path):
    folder = tmp_path / 'in'
    write_bag(folder / 'a.mcap', drive(12), b'a note', {'driver': 'me'})
    write_bag(folder / 'day' / 'b.mcap', drive(4))
    write_bag(folder / 'day' / 'none.mcap', [imu(0, 1)])
    told = []
    fleet = Fleet(pair_outputs([folder], tmp_path / 'out'), Options(), 2, tell=told.append)
    with RayWorkers('local', tmp_path / 'out', 'cpu', 2, 1, Inverting(tmp_path, ends=2)) as pool:
        fleet.run(pool)
    assert [bag.state for bag in fleet.bags] == ['finished', 'finished', 'failed']
    assert sum('is gone' in line for line in told) == 2 == sum(b.retries for b in fleet.bags), told
    for name in ('a', 'day/b'):
        processed(folder / f'{name}.mcap', tmp_path / 'straight' / name)
        assert stored(tmp_path / 'out' / name) == stored(tmp_path / 'straight' / name)
        assert read_sidecar(tmp_path / 'out' / name)['pieces'] == 2
    assert not list((tmp_path / 'out').glob('.ubcn*'))


def test_a_cluster_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BagError, match='no Ray cluster at '):
        RayWorkers('127.0.0.1:1', tmp_path, 'cpu').__enter__()
    assert not list(tmp_path.iterdir())


def test_machines_that_cannot_work_are_refused_by_name(tmp_path):
    with RayWorkers('local', tmp_path / 'out', 'cpu', 2, 1, Elsewhere(tmp_path / 'out')) as pool:
        with pytest.raises(BagError, match=r'no machine of the cluster can work; .*:\d+ does not '
                                           r'see .*/out: bags and outputs have to lie on storage'):
            while True:
                pool.wait(1)
