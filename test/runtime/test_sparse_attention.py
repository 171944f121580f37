# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sparse form equals the plain one, and leaves out what it may."""

import copy

import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.network.attention import SAM, PathStacks, SAMConfig
from ubcn_ros.runtime import sparse_attention
from ubcn_ros.runtime.optimize import prepare
from ubcn_ros.runtime.sparse_attention import (
    SparseStacks,
    cells_by_level,
    reached,
    sparsify,
)

NINE = SAMConfig(3, 9)
DILATED = SAMConfig(4, 3, dilations=(1, 2, 4))
OWN = SAMConfig(4, 2, share_paths=False)


def awake(module):
    """Give every bias, zero at the start, a value: they are what is left where a mask is zero."""
    for parameter in module.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return module


def stacks(config, paths):
    """Plain stacks in double precision, in which a wrong pixel cannot pass for rounding."""
    torch.manual_seed(7)
    return awake(PathStacks(config, paths)).double().eval()


def label_masks(n, k, h, w):
    """Probabilities of a label map of patches, blurred, zero under a threshold."""
    generator = torch.Generator().manual_seed(h * w)
    labels = torch.randint(k, (n, -(-h // 24), -(-w // 40)), generator=generator)
    one = F.one_hot(labels, k).permute(0, 3, 1, 2).double()
    one = F.interpolate(one, scale_factor=(24, 40))[..., :h, :w]
    soft = F.avg_pool2d(F.pad(one, (3, 3, 3, 3), mode='replicate'), 7, 1)
    return torch.where(soft >= 0.1, soft, 0.0)


def some_masks(kind, n, k, h, w):
    """Masks of that kind, (N, K, H, W) double."""
    masks = torch.rand(n, k, h, w, generator=torch.Generator().manual_seed(3)).double() + 0.1
    if kind == 'none':
        return masks * 0
    if kind == 'corners':  # one path at the start, the others at the end
        masks[:, 0, h // 4:], masks[:, 0, :, w // 4:] = 0, 0
        masks[:, 1:, :-(h // 4)], masks[:, 1:, :, :-(w // 4)] = 0, 0
    elif kind == 'dots':
        dots = torch.zeros_like(masks)
        dots[:, :, h // 2, w // 2], dots[:, 0, 0, -1] = 1, 1
        masks = masks * dots
    elif kind == 'labels':
        masks = label_masks(n, k, h, w)
    return masks


@pytest.mark.parametrize('kind', ['full', 'none', 'corners', 'dots', 'labels'])
@pytest.mark.parametrize(('config', 'size', 'cell'), [
    (NINE, (1, 2, 96, 112), 16),      # whole cells, and some that are never reached
    (DILATED, (1, 2, 97, 131), 8),    # odd
    (OWN, (2, 3, 70, 61), 16),        # a batch
    (DILATED, (1, 2, 5, 40), 16),     # less than a cell high
    (NINE, (2, 2, 9, 7), 16),         # less than a cell
    (OWN, (1, 1, 1, 1), 4),
])
def test_equal_to_the_plain_form(config, size, cell, kind):
    n, k, h, w = size
    if kind == 'corners' and min(h, w) < 4:
        pytest.skip('no corner of such an image')
    plain = stacks(config, k)
    features = torch.rand(n, config.channels, h, w, dtype=torch.double)
    masks = some_masks(kind, *size)
    with torch.inference_mode():
        expected = plain(features, masks)
        result = SparseStacks(plain, cell)(features, masks)
    assert result.shape == expected.shape
    assert torch.allclose(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_equal_within_rounding_in_the_engine_s_precisions(dtype, tolerance):
    plain = stacks(SAMConfig(8, 3), 3)
    features = torch.rand(1, 8, 90, 120, dtype=torch.double)
    masks = label_masks(1, 3, 90, 120).to(dtype)
    with torch.inference_mode():
        expected = plain(features.to(dtype).double(), masks.double())
        low = plain.to(dtype, memory_format=torch.channels_last)
        result = SparseStacks(low)(features.to(dtype), masks)
    assert result.dtype == dtype
    assert (result.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_work_follows_the_masks(monkeypatch):
    plain = stacks(SAMConfig(3, 2), 3)
    done = []
    convolve = F.conv2d

    def counting(*args, **options):
        result = convolve(*args, **options)
        if args[4] == 0:  # not the answer to zeros, whose convolutions are padded
            done.append(result[:, 0].numel())
        return result
    monkeypatch.setattr(sparse_attention.F, 'conv2d', counting)
    features = torch.rand(1, 3, 128, 160, dtype=torch.double)
    masks = torch.zeros(1, 3, 128, 160, dtype=torch.double)
    for part, cells in (((0, slice(2, 14), slice(2, 14)), 1 + 4),  # the second block goes on
                        ((1, slice(64, 66), slice(80, 82)), 4 + 4),
                        ((2, slice(6, 10), slice(70, 74)), 1 + 1)):
        masks.zero_()[(0, *part)] = 1
        done.clear()
        SparseStacks(plain, 16)(features, masks)
        assert sum(done) == 2 * cells * 16 * 16


def test_reached_is_what_the_convolutions_can_reach():
    masks = some_masks('dots', 2, 2, 61, 83)
    levels = reached(masks, [1, 2, 1], 8)
    assert levels.shape == (2, 2, 8, 11)
    there = F.pad((masks != 0).double(), (0, 5, 0, 3))
    for level, reach in enumerate((2, 6, 8)):
        # a mask counts in pairs of pixels, so that a cell may be reached a pixel early
        for slack, compare in ((0, torch.le), (1, torch.ge)):
            size = 2 * (reach + slack) + 1
            near = F.max_pool2d(F.max_pool2d(there, size, 1, reach + slack), 8) > 0
            assert compare(near, levels <= level).all()


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_cells_are_sorted_by_level(layout):
    masks = some_masks('labels', 2, 3, 61, 83).to(memory_format=layout)
    levels, order, counts = cells_by_level(masks, [1, 2, 1], 8)
    assert torch.equal(levels, reached(masks, [1, 2, 1], 8).int()) and levels.is_contiguous()
    for found, places, count in zip(levels.flatten(1), order, counts, strict=True):
        assert torch.equal(places.sort().values, torch.arange(len(found)))
        assert torch.equal(found[places], found.sort().values)
        assert count.tolist() == [int((found <= block).sum()) for block in range(3)]


def test_a_graph_sorts_the_cells_of_other_masks(simulated_gpu):
    masks = torch.zeros(2, 2, 40, 50, device='cuda')
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = cells_by_level(masks, [1, 1], 8)
    for value in (0.0, 1.0):
        masks[:, 0, :9, :5] = value
        graph.replay()
        expected = cells_by_level(masks.cpu(), [1, 1], 8)
        assert all(torch.equal(got.cpu(), want)
                   for got, want in zip(captured, expected, strict=True))
    assert captured[2].tolist() == [[2, 4]] * 2


def test_a_sparsified_network_shares_its_weights_and_answers_the_same():
    torch.manual_seed(1)
    sam = awake(SAM(SAMConfig(8, 2, path_threshold=0.2), 4)).eval()
    torch.nn.init.normal_(sam.tail[1].weight, std=0.05)
    network = torch.nn.Sequential(sam)
    fast = copy.deepcopy(network)
    assert sparsify(fast) == 1
    assert isinstance(fast[0].path_mixer, SparseStacks)
    assert fast.state_dict().keys() == network.state_dict().keys()
    image, previous = torch.rand(2, 1, 3, 75, 90)
    paths = (5 * torch.randn(1, 4, 10, 12)).softmax(1)
    with torch.inference_mode():
        assert torch.allclose(fast[0](image, previous, paths), sam(image, previous, paths),
                              atol=1e-5)
    assert sparsify(fast) == 0


@pytest.mark.parametrize(('device', 'threshold', 'kind'), [
    ('cpu', 0.1, SparseStacks), ('cpu', 0.0, PathStacks), ('meta', 0.1, PathStacks)])
def test_only_a_processor_with_zeros_in_the_masks_gets_the_sparse_form(device, threshold, kind):
    sam = SAM(SAMConfig(4, 1, path_threshold=threshold), 2)
    assert type(prepare(sam, torch.device(device), torch.float32).path_mixer) is kind


def test_the_callers_default_device_changes_nothing(default_device):
    sparse = SparseStacks(stacks(SAMConfig(4, 1, path_threshold=0.1), 2), 16)
    given = [torch.rand(1, n, 80, 90, dtype=torch.float64) for n in (4, 2)]
    expected = sparse(*given)
    default_device('meta')
    assert torch.equal(sparse(*given), expected)


@pytest.mark.parametrize('options', [
    {'blocks': 0}, {'dilations': (1, sparse_attention.CELL + 1)}, {'uniform_masks': True}])
def test_stacks_without_a_cell_to_leave_out_stay(options):
    sam = SAM(SAMConfig(**{'channels': 4, 'blocks': 2, 'path_threshold': 0.1, **options}), 2)
    assert type(prepare(sam, torch.device('cpu'), torch.float32).path_mixer) is PathStacks


@pytest.mark.parametrize('cell', [3, 2])
def test_a_cell_that_does_not_fit_is_refused(cell):
    with pytest.raises(ValueError, match=f'cell is {cell}: .* from 4'):
        SparseStacks(stacks(DILATED, 2), cell)
