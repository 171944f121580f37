# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Operations and bytes are those of the convolutions that ran."""

import pytest
import torch
from torch import nn

from ubcn_ros.benchmark import roofline
from ubcn_ros.benchmark.roofline import Ceilings, measure_ceilings, roofline_times


def test_a_convolution_is_counted_each_time_it_runs():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
                            nn.Conv2d(8, 4, 1, groups=2))
    macs = 10 * 12 * (8 * 3 * 9 + 4 * 4)
    moved = 4 * (10 * 12 * (3 + 8 + 8 + 4) + 8 * 3 * 9 + 4 * 4)
    with roofline_times(network, Ceilings(1e9, 1e15)) as bound_by_operations:
        for _ in range(2):
            network(torch.zeros(1, 3, 10, 12))
    assert sum(bound_by_operations) == pytest.approx(2 * macs / 1e9, rel=1e-9)
    with roofline_times(network, Ceilings(1e15, 1e9)) as bound_by_memory:
        network(torch.zeros(1, 3, 10, 12))
    assert sum(bound_by_memory) == pytest.approx(moved / 1e9, rel=1e-9)
    network(torch.zeros(1, 3, 10, 12))
    assert len(bound_by_operations) == 4, 'nothing is counted afterwards'


@pytest.mark.parametrize('seconds, n', [(0.01, 2048), (2.0, 512)])
def test_a_precision_that_is_emulated_is_timed_by_a_small_product(monkeypatch, seconds, n):
    monkeypatch.setattr(roofline, '_best_seconds', lambda run, device: seconds)
    ceilings = measure_ceilings.__wrapped__(torch.device('cpu'), torch.float16)
    assert ceilings.macs_per_s == n ** 3 / seconds


@pytest.mark.gpu
def test_ceilings_of_a_gpu():
    ceilings = measure_ceilings(torch.device('cuda'), torch.float16)
    assert ceilings.macs_per_s > 1e12 and ceilings.bytes_per_s > 1e10
