# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated device refuses and allows what CUDA does, and notes what waits for it."""

import numpy as np
import pytest
import torch
from simulated_cuda import GPU, on_gpu
from torch import nn
from torch.nn import functional as F

pytestmark = pytest.mark.usefixtures('one_thread')


def values(device=GPU):
    return torch.rand(2, 3, 8, 8, device=device)


@pytest.mark.parametrize('mixed', [
    lambda x: x + torch.ones(8), lambda x: torch.cat([x, x.cpu()]),
    lambda x: F.conv2d(x, torch.ones(1, 3, 3, 3)), lambda x: torch.ones(3)[x[0, 0, 0].long()],
    lambda x: torch.zeros(8).add_(x), lambda x: F.cross_entropy(x, torch.zeros(2, 8, 8).long()),
    lambda x: x.normal_(generator=torch.Generator()),
    lambda x: torch.rand(2, generator=torch.Generator(GPU))])
def test_what_lies_on_two_devices_does_not_mix(simulated_gpu, mixed):
    with pytest.raises(RuntimeError, match='device|generator'):
        mixed(values())


def test_numpy_sees_nothing_of_the_device(simulated_gpu):
    for look in (np.asarray, torch.Tensor.numpy):
        with pytest.raises(TypeError, match="can't convert"):
            look(values())
    assert (values().cpu().numpy() < 1).all()


@pytest.mark.parametrize('found', [
    lambda x: x * torch.tensor(2.0), lambda x: torch.where(x > 0.5, x, 0.0),
    lambda x: x.normal_(generator=torch.Generator(GPU)), lambda x: F.interpolate(x, (4, 4)),
    lambda x: F.one_hot(x.long(), 3), lambda x: torch.stack([x, x]), lambda x: x[:, 0].mT,
    lambda x: torch.empty(3, pin_memory=True).to(GPU, non_blocking=True),
    lambda x: nn.Conv2d(3, 3, 3).to(GPU)(x), lambda x: x.new_zeros(2) + x.mean()])
def test_what_stays_on_the_device_waits_for_nothing(simulated_gpu, found):
    x = values()
    before = [wait for wait in simulated_gpu.waits if wait[0] != 'copy to cuda:0']
    result = found(x)
    assert result.device == GPU and result.is_cuda and before == [
        wait for wait in simulated_gpu.waits if wait[0] != 'copy to cuda:0']


@pytest.mark.parametrize('waiting', [
    lambda x: float(x.mean()), lambda x: x.cpu(), lambda x: x[x > 0.5], lambda x: x.tolist(),
    lambda x: x.copy_(torch.zeros(8)), lambda x: torch.tensor([1.0], device=GPU),
    lambda x: x[torch.tensor([0])], lambda x: torch.cuda.synchronize()])
def test_waits_are_noted_and_end_a_capture(simulated_gpu, waiting):
    x = values()
    waiting(x)
    assert len(simulated_gpu.waits) == 1
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match='not permitted'), torch.cuda.graph(graph):
        waiting(x)


def test_gradients_and_optimizers_stay_on_the_device(simulated_gpu):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(GPU)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    simulated_gpu.waits.clear()
    network(values()).square().mean().backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    assert all(on_gpu(p) and on_gpu(p.grad) for p in network.parameters())
    assert not simulated_gpu.waits


def test_a_graph_reads_its_inputs_again(simulated_gpu):
    given, found = torch.zeros(4, device=GPU), torch.zeros(4, device=GPU)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found.copy_((given + 1).relu_())
    for value in (3.0, -5.0):
        given.fill_(value)
        graph.replay()
        assert found.tolist() == [max(value + 1, 0)] * 4
