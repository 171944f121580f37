# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernels against reference modules in float64: interpreted, compiled, and on a GPU."""

import copy

import pytest
import torch
from torch import nn

from ubcn_ros.network.attention import PathStacks, SAMConfig
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.fused_stacks import FusedStacks, random_masks

pytest.importorskip('triton')
TOLERANCE = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Norm of the difference over the norm of the reference."""


def stacks_of(dilations, paths: int, shared: bool, dtype: torch.dtype) -> PathStacks:
    """Give stacks whose biases are large, so that wrong borders and wrong zeros show."""
    torch.manual_seed(5)
    stacks = PathStacks(SAMConfig(32, len(dilations), dilations=dilations, share_paths=shared),
                        paths)
    for parameter in stacks.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    return stacks.to(dtype).eval().requires_grad_(False)


def masks_of(kind: str, n: int, paths: int, height: int, width: int) -> torch.Tensor:
    """Masks of that kind, (N, K, H, W)."""
    masks = torch.rand(n, paths, height, width) + 0.1
    if kind == 'none':
        masks.zero_()
    elif kind == 'corners':  # another path in every corner, none between; the last has nothing
        corners = torch.zeros_like(masks)
        for path, (y, x) in enumerate(((0, 0), (0, -1), (-1, 0), (-1, -1))):
            corners[:, path % max(1, paths - 1), y, x] = 1
        masks *= corners
    elif kind == 'dot':  # at a tile's corner; images and paths differ
        dot = torch.zeros_like(masks)
        for image in range(n):
            dot[image, image % paths, height // 2, width // 2] = 1
        masks *= dot
    return masks


def fused(stacks: PathStacks) -> FusedStacks:
    return FusedStacks(stacks, 0.02, Autotuner(), {})


def compare(candidate, stacks: PathStacks, features, masks, **options) -> torch.Tensor:
    """Assert that a candidate gives what the stacks do in float64, at each single pixel, too."""
    expected = copy.deepcopy(stacks).double()(features.double(), masks.double())
    result = fused(stacks).run(lambda *operands: candidate(*operands, **options), features, masks)
    assert result.dtype == features.dtype and result.shape == features.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    error = result.double() - expected
    assert error.norm() <= TOLERANCE[features.dtype] * expected.norm()
    scale = expected.norm(dim=1).mean()
    assert error.norm(dim=1).max() <= 5 * TOLERANCE[features.dtype] * scale
    return result


@pytest.mark.parametrize('kind, dilations, shared, dtype, size, tile', [
    ('dot', (1,), True, torch.float32, (2, 3, 9, 17), 4),      # two images, three paths
    ('dot', (2, 1), True, torch.float16, (1, 2, 13, 18), 4),   # reaches one tile after the other
    ('corners', (1,), False, torch.float32, (1, 3, 13, 14), 4),
    ('corners', (4,), True, torch.float16, (1, 2, 18, 17), 4),  # as large as a tile
    ('all', (2,), False, torch.float16, (1, 2, 9, 11), 8),
    ('none', (1,), False, torch.float32, (1, 2, 5, 12), 4)])
def test_interpreted_equals_float64(load_kernels, kind, dilations, shared, dtype, size, tile):
    kernels = load_kernels('triton_stacks', True)
    stacks = stacks_of(dilations, size[1], shared, dtype)
    features = torch.randn(size[0], 32, *size[2:]).to(dtype)
    masks = masks_of(kind, *size).to(dtype, memory_format=torch.channels_last if shared else
                                     torch.contiguous_format)
    compare(kernels.run_stacks, stacks, features, masks, tile=tile)


def test_results_are_the_same_bits_whatever_memory_held(load_kernels, monkeypatch):
    kernels = load_kernels('triton_stacks', True)
    stacks = stacks_of((1,), 2, True, torch.float16)
    features = torch.randn(1, 32, 9, 10).half()
    masks = masks_of('dot', 1, 2, 9, 10).half()
    empty = torch.Tensor.new_empty
    results = []
    for value in (0.0, float('nan')):
        monkeypatch.setattr(torch.Tensor, 'new_empty', lambda x, *sizes, value=value, **options: (
            empty(x, *sizes, **options).fill_(value) if x.dtype == torch.float16
            else empty(x, *sizes, **options)))
        results.append(fused(stacks).run(
            lambda *operands: kernels.run_stacks(*operands, tile=4), features, masks))
    assert torch.equal(*results)


def test_refuses(load_kernels):
    kernels = load_kernels('triton_stacks', True)
    stacks = fused(stacks_of((1,), 2, False, torch.float32))
    for features, masks in (((1, 16, 8, 8), (1, 2, 8, 8)), ((1, 32, 8, 8), (1, 3, 8, 8)),
                            ((1, 32, 8, 8), (2, 2, 8, 8)), ((1, 32, 4, 8), (1, 2, 4, 8)),
                            ((0, 32, 8, 8), (0, 2, 8, 8))):
        with pytest.raises(ValueError, match='from 5x5 up: run the reference'):
            stacks.run(kernels.run_stacks, torch.zeros(features), torch.zeros(masks))
    with pytest.raises(ValueError, match=r'dilations \[8\]'):
        fused(stacks_of((8,), 1, True, torch.float32)).run(
            lambda *operands: kernels.run_stacks(*operands, tile=4), torch.zeros(1, 32, 64, 64),
            torch.zeros(1, 1, 64, 64))
    with pytest.raises(ValueError, match='32-bit'):
        stacks.run(kernels.run_stacks, torch.zeros(1, 32, 1, 1).expand(1, 32, 8192, 8192),
                   torch.zeros(1, 2, 1, 1).expand(1, 2, 8192, 8192))


@pytest.mark.parametrize('capability, instruction', [(80, 'mma.sync'), (90, 'wgmma.mma_async')])
@pytest.mark.parametrize('first, skip', [(False, True), (True, False)])
def test_compiles_to_matrix_instructions(compile_kernel, capability, instruction, first, skip):
    ptx = compile_kernel('triton_stacks', '_convolution', {
        'FIRST': first, 'SKIP': skip, 'DILATION': 2, 'REACH': 42, 'SHARED': False, 'TILE': 16,
        'CHANNELS': 32}, capability, integers=('levels', 'order', 'counts'), num_warps=8)
    assert instruction in ptx
    assert 'cp.async.cg' in ptx, '16 bytes are copied at once, while products are worked out'
    assert 'st.global.v4' in ptx, '16 bytes are written at once'


@pytest.mark.parametrize('capability', [80, 90])
def test_sum_reads_16_bytes_at_once(compile_kernel, capability):
    ptx = compile_kernel('triton_stacks', '_sum', {
        'PATHS': 10, 'REACH': 18, 'SHARED': True, 'TILE': 16, 'CHANNELS': 32}, capability,
        integers=('levels',), num_warps=8)
    assert 'ld.global.v4' in ptx and 'st.global.v4' in ptx


@pytest.mark.gpu
@pytest.mark.parametrize('dtype, stages', [(torch.float16, 3), (torch.float16, 1),
                                           (torch.bfloat16, 3)])
@pytest.mark.parametrize('dilations, shared', [((1,) * 9, True), ((1, 2, 4), False)])
def test_equals_float64_on_a_gpu(load_kernels, dilations, shared, dtype, stages):
    kernels = load_kernels('triton_stacks', False)
    stacks = stacks_of(dilations, 4, shared, dtype).cuda()
    for kind, size in (('patches', (2, 4, 135, 241)), ('corners', (1, 4, 90, 120)),
                       ('all', (1, 4, 61, 70)), ('none', (1, 4, 64, 64)),
                       ('dot', (2, 4, 130, 150))):
        features = torch.randn(size[0], 32, *size[2:], device='cuda').to(dtype)
        masks = (random_masks(features.new_empty(size), torch.Generator('cuda'), 0.02)
                 if kind == 'patches' else masks_of(kind, *size).to('cuda', dtype))
        results = [compare(kernels.run_stacks, stacks, features, masks, stages=stages)
                   for _ in range(2)]
        assert torch.equal(*results), 'the same bits'
