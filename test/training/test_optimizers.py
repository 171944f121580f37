# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Schedules at the places where they are known."""

import pytest
import torch

from ubcn_ros.training.config import OptimizerConfig
from ubcn_ros.training.optimizers import lr_factor, make_optimizer


def test_kinds():
    for kind, expected in (('adam', torch.optim.Adam), ('adamw', torch.optim.AdamW),
                           ('sgd', torch.optim.SGD)):
        optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))],
                                   OptimizerConfig(kind, 0.5, 0.25), fused=False)
        assert type(optimizer) is expected
        assert optimizer.param_groups[0]['lr'] == 0.5
        assert optimizer.param_groups[0]['weight_decay'] == 0.25


def test_sgd_has_its_momentum():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer([parameter], OptimizerConfig('sgd', 0.1, 0.0, momentum=0.5),
                               fused=False)
    for expected in (-0.1, -0.1 - 0.15):  # the gradient is 1, then there is half of it more
        parameter.grad = torch.ones(1)
        optimizer.step()
        assert parameter.item() == pytest.approx(expected)


@pytest.mark.parametrize(('schedule', 'at'), [
    ('constant', {0: 1, 0.5: 1, 1: 1}),
    ('cosine', {0: 1, 0.5: 0.5, 1: 0}),
    ('poly', {0: 1, 0.5: 0.5 ** 0.9, 1: 0}),
    ('step', {0: 1, 0.29: 1, 0.3: 0.2, 0.6: 0.04, 0.9: 0.008, 1: 0.008}),
])
def test_schedules(schedule, at):
    config = OptimizerConfig(schedule=schedule, warm_up=0)
    for progress, factor in at.items():
        assert lr_factor(config, progress) == pytest.approx(factor, abs=1e-9)


def test_warm_up_rises_to_the_full_rate():
    config = OptimizerConfig(schedule='constant', warm_up=0.1)
    factors = [lr_factor(config, p) for p in (0, 0.05, 0.099, 0.1)]
    assert 0 < factors[0] < 0.02 and factors == sorted(factors) and factors[-1] == 1


@pytest.mark.parametrize('kind', ['adam', 'adamw', 'sgd'])
def test_fused_is_the_same_step(kind):
    found = []
    for fused in (False, True):
        parameter = torch.nn.Parameter(torch.linspace(-1, 1, 7))
        optimizer = make_optimizer([parameter], OptimizerConfig(kind, 0.1, 0.01), fused)
        for _ in range(5):
            parameter.square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert bool(optimizer.defaults['fused']) == fused
        found.append(parameter.detach())
    torch.testing.assert_close(*found)
