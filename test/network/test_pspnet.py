# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PSPNet's pooling as matrix products: adaptive pooling within rounding, its weights kept."""

import copy

import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.network.segmentation import pspnet
from ubcn_ros.network.segmentation.pspnet import GridWeights, PyramidPooling, grid_products

GRIDS = PyramidPooling.grids
SIZES = [(6, 6), (7, 13), (17, 5), (45, 80), (1, 9), (4, 3)]  # also smaller than the grid
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2 ** -8, torch.float16: 2 ** -11}


def check(x, grids=GRIDS):
    found = grid_products(x, grids, GridWeights.of(x, grids))
    for grid, means in zip(grids, found, strict=True):
        expected = F.adaptive_avg_pool2d(x.double(), grid)
        assert means.dtype == x.dtype and means.shape == expected.shape
        # a rounding of the means of the lines, and one of the result
        torch.testing.assert_close(means.double(), expected, rtol=2 * ROUNDING[x.dtype],
                                   atol=2 * ROUNDING[x.dtype] * float(x.abs().max()))


@pytest.mark.parametrize('dtype', ROUNDING)
@pytest.mark.parametrize('size', SIZES)
def test_products_are_adaptive_pooling(size, dtype):
    generator = torch.Generator().manual_seed(sum(size))
    x = torch.rand((2, 5, *size), generator=generator).to(dtype)
    check(x)
    check(x.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_weights_roundings_leave_no_trace(dtype):
    x = torch.full((1, 2, 45, 77), 0.7).to(dtype)  # 1 / 45 and 1 / 77 are no halves
    for means in grid_products(x, GRIDS, GridWeights.of(x, GRIDS)):
        assert means.eq(x[0, 0, 0, 0]).all()


def test_large_values_of_a_half_do_not_overflow():
    check(torch.full((1, 1, 40, 60), 60000.0).half())


def test_gradients_are_those_of_pooling():
    x = torch.rand(1, 3, 9, 14, requires_grad=True)
    with torch.inference_mode():
        weights = PyramidPooling(8).weights(x)  # an engine's frame may come before
    sum(m.square().sum() for m in grid_products(x, GRIDS, weights)).backward()
    other = x.detach().clone().requires_grad_()
    sum(F.adaptive_avg_pool2d(other, grid).square().sum() for grid in GRIDS).backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_weights_are_made_once_per_size_and_stay(monkeypatch):
    monkeypatch.setattr(pspnet, 'KEPT', 2)
    pooling = PyramidPooling(8)
    features = [torch.zeros(1, 8, 4, width) for width in (4, 5, 6)]
    made = [pooling.weights(x) for x in features]
    again = [pooling.weights(x) for x in features]
    assert [one is other for one, other in zip(made, again, strict=True)] == [True, True, False]
    assert pooling.weights(features[0].half()).rows.dtype == torch.float16
    assert not set(pooling.state_dict()) - set(PyramidPooling(8).state_dict())


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', ROUNDING)
def test_a_gpu_pools_by_products_in_a_graph_too(dtype):
    pooling = PyramidPooling(64).eval().requires_grad_(False)
    x = torch.rand(1, 64, 33, 61)
    expected = copy.deepcopy(pooling).double()(x.to(dtype).double())
    pooling, x = pooling.to('cuda', dtype), x.to('cuda', dtype, memory_format=torch.channels_last)
    check(x)
    kept = []
    for _ in range(2):  # before PyTorch 2.12 a first capture leaves cuBLAS's workspace behind
        with torch.inference_mode():
            result = pooling(x)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                captured = pooling(x)
            graph.replay()
        assert torch.equal(result, captured)
        assert (result.cpu().double() - expected).norm() <= 0.02 * expected.norm()
        del result, captured, graph
        kept.append(torch.cuda.memory_allocated())
    assert kept[1] <= kept[0]


def test_the_pyramid_joins_the_means_to_the_features():
    torch.manual_seed(0)
    made, x = PyramidPooling(8).eval(), torch.rand(2, 8, 9, 14)
    expected = [x]
    for grid, branch in zip(GRIDS, made.branches, strict=True):
        means = branch(F.adaptive_avg_pool2d(x, grid))
        expected.append(F.interpolate(means, (9, 14), mode='bilinear', align_corners=False))
    torch.testing.assert_close(made(x), torch.cat(expected, 1))


def test_the_last_two_stages_are_dilated_in_place_of_strides():
    with torch.device('meta'):
        network = pspnet.PSPNetResNet50(19)
    stages = [[m for m in stage.modules()
               if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
              for stage in network.stages]
    assert [max(m.stride for m in stage) for stage in stages] == [(1, 1), (2, 2), (1, 1), (1, 1)]
    assert [{m.dilation for m in stage} for stage in stages] == [
        {(1, 1)}, {(1, 1)}, {(2, 2)}, {(4, 4)}]
