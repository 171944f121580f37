# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Workers of one machine: what they run, how they end, and what is told of that."""

import os
import signal
import time

import fleet_workers
import pytest
from fleet_workers import Kill, Sleep, Told

from ubcn_ros.bags import BagError
from ubcn_ros.bags.errors import BagLocked, BagOutOfReach
from ubcn_ros.bags.fleet import Workers
from ubcn_ros.bags.fleet.tasks import PAUSE_S, attempt

TIMEOUT_S = 120


def outcomes(pool, count):
    """Wait for so many tasks."""
    found, end = [], time.monotonic() + TIMEOUT_S
    while len(found) < count and time.monotonic() < end:
        found += pool.wait(1)
    return found


def idle(pool):
    """Wait for an idle worker."""
    end = time.monotonic() + TIMEOUT_S
    while not pool.idle() and time.monotonic() < end:
        pool.wait(1)
    return pool.idle()[0]


def test_what_became_of_a_task():
    assert attempt('w', Told('done')) == ('w', 'done', '', False, 0.0)
    assert attempt('w', Told('wrong', ValueError)) == ('w', None, 'wrong', False, 0.0)
    for kind in (BagLocked, BagOutOfReach):
        assert attempt('w', Told('held', kind)) == ('w', None, 'held', True, PAUSE_S)
    assert attempt('w', Told('full', OSError)) == ('w', None, 'OSError: full', True, 0.0)


def test_a_worker_runs_tasks_is_replaced_when_it_ends_and_ends_in_the_middle(tmp_path):
    with Workers(1) as pool:
        pool.start(idle(pool), Told('done'))
        assert outcomes(pool, 1)[0][1:] == ('done', '', False, 0.0)
        pool.start(idle(pool), Told('wrong', ValueError))
        assert outcomes(pool, 1)[0][1:] == (None, 'wrong', False, 0.0)
        pool.start(idle(pool), Told('held', BagLocked))
        assert outcomes(pool, 1)[0][1:] == (None, 'held', True, PAUSE_S)
        pool.start(idle(pool), Kill(signal.SIGKILL))
        (lost,) = outcomes(pool, 1)
        assert lost.lost and 'was ended by SIGKILL' in lost.error
        pool.start(idle(pool), Told('again'))
        assert outcomes(pool, 1)[0].value == 'again'
        pool.start(idle(pool), Sleep(tmp_path / 'pid'))
        end = time.monotonic() + TIMEOUT_S
        while not (tmp_path / 'pid').exists() and time.monotonic() < end:
            pool.wait(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'pid').read_text()), 0)


def test_workers_that_never_come_up_are_told():
    with pytest.raises(BagError, match='worker 1 ends before it can work: it ended with exit '
                                       'code 3'), Workers(1, fleet_workers.leave) as pool:
        idle(pool)
