# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is rendered ahead comes in its order, from any number of processes."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest
import torch

from ubcn_ros.data.scenes import DataSetError
from ubcn_ros.training.prerender import rendered_ahead


def square(n):
    return n, np.full(2, n * n, np.float16)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('count', [0, 1, 5])
def test_items_come_in_order_as_they_are_and_draw_nothing(workers, count):
    before = torch.random.get_rng_state()
    found = list(rendered_ahead(square, range(count), workers))
    assert [n for n, _ in found] == [*range(count)]
    assert all(isinstance(array, np.ndarray) and (array == n * n).all() for n, array in found)
    assert torch.equal(torch.random.get_rng_state(), before)


def broken(n):
    if n == 1:
        raise DataSetError('labels.png: 1 is not a class: mend it')
    return square(n)


@pytest.mark.parametrize('workers', [0, 2])
def test_what_is_wrong_is_said_in_its_own_words(workers):
    with pytest.raises(DataSetError, match=r'^labels.png: 1 is not a class: mend it$'):
        list(rendered_ahead(broken, range(3), workers))


def of_a_process(n):
    time.sleep(0.1)
    return os.getpid()


def test_a_signal_to_all_processes_ends_no_worker():
    found = rendered_ahead(of_a_process, range(6), 1)
    worker = next(found)
    subprocess.run(['kill', '-TERM', str(worker)], check=True)
    assert [*found] == [worker] * 5


def test_a_worker_that_is_killed_is_named_with_the_remedy():
    """Where its work is waited for, and not in the middle of what comes before."""
    found = rendered_ahead(of_a_process, range(20), 1)
    worker = next(found)
    os.kill(worker, signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(ChildProcessError, match=f'worker process {worker} .*fewer --workers'):
        list(found)
