# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many workers a machine has, and what each gets of it."""

import os

import cv2
import pytest

from ubcn_ros.bags.fleet import worker_devices
from ubcn_ros.bags.fleet.worker_devices import Setup, share_out


@pytest.mark.parametrize('device, workers, threads, gpus, count, shared', [
    ('auto', None, None, ('0', '1'), 2, Setup(None, ('0', '1'))),
    ('cuda', 4, None, ('3', '5'), 4, Setup(None, ('3', '5'))),
    ('cuda:1', 2, None, ('0', '1'), 2, Setup(None)),  # the one that was named, for all
    ('cpu', None, None, ('0', '1'), 1, Setup(12)),
    ('auto', 5, None, (), 5, Setup(2)),
    ('cpu', 99, None, (), 99, Setup(1)),
    ('cpu', 2, 3, (), 2, Setup(3))])
def test_gpus_or_cores_are_shared_out(monkeypatch, device, workers, threads, gpus, count, shared):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(worker_devices, '_gpus', lambda: gpus)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(12)))
    assert share_out(device, workers, threads) == (count, shared)


def test_threads_that_the_environment_names_are_kept(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '7')
    assert share_out('cpu', 2, None) == (2, Setup(None))
    Setup(None)(0)
    assert os.environ['OMP_NUM_THREADS'] == '7'


def test_each_worker_gets_its_gpu_in_turn(monkeypatch):
    for name in ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES'):
        monkeypatch.setenv(name, '')
    seen, of_opencv = [], []
    monkeypatch.setattr(cv2, 'setNumThreads', of_opencv.append)
    for number in range(3):
        Setup(2, ('GPU-a', '1'))(number)
        seen.append((os.environ['OMP_NUM_THREADS'], os.environ['CUDA_VISIBLE_DEVICES']))
    assert seen == [('2', 'GPU-a'), ('2', '1'), ('2', 'GPU-a')] and of_opencv == [2] * 3
