# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is fused is what agrees and is faster; everything else stays plain. Without Triton, too."""

import copy
import logging
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import RES, residual_stack
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.fused_residual import FusedRES, fuse_residual_blocks
from ubcn_ros.runtime.optimize import prepare


def by_matrices(x, weight1, bias1, weight2, bias2, dilation):
    """RES from packed weights, not by convolution modules: a candidate for every machine."""
    def convolve(features, weight, bias):
        patches = F.unfold(features, 3, dilation, dilation).unflatten(1, (features.shape[1], 9))
        return torch.einsum('nctp,tco->nop', patches, weight).unflatten(
            -1, features.shape[-2:]).add(bias[:, None, None]).relu()
    return x + convolve(convolve(x, weight1, bias1), weight2, bias2)


def failing(*_):
    """Fail as a compiler does, with a page."""
    raise RuntimeError('no such instruction\nand a page of code')


@pytest.fixture
def stack():
    result = residual_stack(32, 3, (1, 2, 4)).eval().requires_grad_(False)
    for m in result.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.normal_(m.bias)
    return result


def on_cpu(choice='failing') -> Autotuner:
    return Autotuner('cpu', (torch.float32,), lambda *_: choice)


def test_replaced_blocks_run_the_form_chosen(stack):
    plain = copy.deepcopy(stack)
    calls = []

    def candidate(*arguments):
        calls.append(arguments[-1])
        return by_matrices(*arguments)
    autotuner = on_cpu('matrices')
    assert fuse_residual_blocks(stack, autotuner, {'matrices': candidate}) == 3
    assert fuse_residual_blocks(stack, autotuner, {'matrices': candidate}) == 0, 'none is left'
    assert stack.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(2, 32, 11, 13)
    assert torch.allclose(stack(x), plain(x), atol=1e-4)
    assert calls == [1, 2, 4]
    assert len(autotuner.chosen) == 3
    stack(torch.randn(2, 32, 64, 64))
    assert len(autotuner.chosen) == 6, 'chosen anew for another order of size'


def test_a_candidate_that_fails_later_gives_way_to_the_plain_modules(stack, caplog):
    plain = copy.deepcopy(stack)
    fuse_residual_blocks(stack, on_cpu(), {'failing': failing})
    x = torch.randn(1, 32, 9, 9)
    for _ in range(2):
        assert torch.equal(stack(x), plain(x))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3 and all('no such instruction' in line for line in lines)


def test_plain_where_candidates_do_not_apply(stack):
    plain = copy.deepcopy(stack)
    autotuner = on_cpu()
    fuse_residual_blocks(stack, autotuner, {'failing': failing})
    x = torch.randn(1, 32, 9, 9)
    needs_gradient = x.clone().requires_grad_()
    stack(needs_gradient).sum().backward()
    assert needs_gradient.grad is not None
    assert torch.equal(torch.jit.trace(stack, x, check_trace=False)(x), plain(x))
    assert torch.equal(stack.double()(x.double()), plain.double()(x.double()))
    stack.float()
    seen = []
    for block in stack:
        block.conv2.register_forward_hook(lambda *_: seen.append(1))
    stack(x)
    assert len(seen) == 3, 'whoever watches the convolutions sees them'
    assert not autotuner.chosen, 'nothing was tried'


def test_replaces_only_what_the_kernels_compute(stack):
    network = nn.ModuleDict({'wide': RES(64), 'fp16': RES(32).half(), 'watched': RES(32),
                             'block': RES(32)})
    network['watched'].register_forward_hook(lambda *_: None)
    assert fuse_residual_blocks(network, on_cpu(), {}) == 1
    assert [type(m) for m in network.values()] == [RES, RES, RES, FusedRES]


def test_without_triton_all_stays_plain(stack, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'triton', None)
    monkeypatch.delitem(sys.modules, 'ubcn_ros.runtime.kernels.triton_residual', raising=False)
    assert fuse_residual_blocks(stack, on_cpu()) == 0
    assert {type(m) for m in stack} == {RES}
    record, = caplog.records
    assert 'triton_residual is not used' in record.getMessage()


def test_prepared_for_a_cpu_asks_for_no_triton(stack, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'triton', None)
    with caplog.at_level(logging.INFO):
        prepare(stack, torch.device('cpu'), torch.bfloat16)
    assert not caplog.records
    assert not any(isinstance(m, FusedRES) for m in stack)


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_prepared_for_a_gpu_equals_float64(stack, dtype, caplog):
    pytest.importorskip('triton')
    exact = copy.deepcopy(stack).to(dtype).double()
    network = prepare(nn.Sequential(stack), torch.device('cuda'), dtype)
    assert {type(m) for m in network[0]} == {FusedRES}
    x = torch.randn(2, 32, 200, 300, dtype=dtype)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        result = network(x.cuda()).cpu().double()
    assert not caplog.records, 'every candidate runs and agrees'
    expected = exact(x.double())
    tolerance = 2e-3 if dtype == torch.float16 else 2e-2
    assert (result - expected).norm() <= tolerance * expected.norm()
