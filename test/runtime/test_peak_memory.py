# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Peak memory: what a call needs, and on a GPU what its graphs keep."""

import subprocess
import sys

import pytest
import torch

from ubcn_ros.runtime.peak_memory import peak_mib

MEASURE = """
import numpy as np, torch
from ubcn_ros.runtime.peak_memory import peak_mib
for call in (lambda: None, lambda: np.ones(2**26, np.uint8)):
    print(peak_mib(call, torch.device('cpu')))
"""


def test_the_peak_follows_what_a_call_needs():
    # in a process of its own: this one gives back memory of the tests before when it likes
    done = subprocess.run([sys.executable, '-c', MEASURE], capture_output=True, text=True,
                          check=True, timeout=60)
    little, much = map(float, done.stdout.split())
    assert 50 < little < much and much - little > 30


FREED = """
import torch
from ubcn_ros.malloc import keep_freed_memory
from ubcn_ros.runtime.peak_memory import peak_mib
assert keep_freed_memory({})  # as on a CPU
cpu = torch.device('cpu')
held = peak_mib(lambda: None, cpu)
large = peak_mib(lambda: torch.ones(2**26), cpu)
print(large - held, peak_mib(lambda: torch.ones(2**20), cpu) - held)
"""


def test_what_a_larger_call_has_freed_is_no_part_of_a_smaller_ones_peak():
    done = subprocess.run([sys.executable, '-c', FREED], capture_output=True, text=True,
                          check=True, timeout=60)
    large, small = map(float, done.stdout.split())
    assert large > 200 and small < 50


@pytest.mark.parametrize(('device', 'pools'), [(0, 5), (1, 7)])
def test_graphs_count_on_their_gpu(monkeypatch, device, pools):
    def segment(device, mib, pool):
        return {'device': device, 'total_size': mib * 2**20, 'segment_pool_id': pool}

    called = []
    monkeypatch.setattr(torch.cuda, 'reset_peak_memory_stats', called.append)
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda device: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, 'memory_snapshot', lambda: [
        segment(0, 100, (0, 0)), segment(0, 2, (0, 1)), segment(0, 3, (0, 2)),
        segment(1, 7, (0, 1))])
    assert peak_mib(lambda: called.append('run'), torch.device('cuda', device)) == 3 + pools
    assert called == [torch.device('cuda', device), 'run']
