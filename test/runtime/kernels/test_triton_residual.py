# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernels against reference modules in float64: interpreted, compiled, and on a GPU."""

import pytest
import torch
from torch import nn

from ubcn_ros.network.blocks import RES
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.fused_residual import FusedRES
from ubcn_ros.runtime.kernels.launch import pack

pytest.importorskip('triton')
FORMS = ('one_kernel', 'two_kernels')
TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
"""Norm of the difference over the norm of the reference."""


def block_of(dilation: int, dtype: torch.dtype, device: str = 'cpu') -> RES:
    """Give a RES whose biases are as large as its features, so that wrong borders show."""
    block = RES(32, dilation)
    for conv in (block.conv1, block.conv2):
        nn.init.normal_(conv.bias)
    return block.to(device, dtype).requires_grad_(False)


def weights_of(block: RES) -> tuple[torch.Tensor, ...]:
    return (pack(block.conv1.weight), block.conv1.bias, pack(block.conv2.weight),
            block.conv2.bias)


def compare(candidate, block: RES, x: torch.Tensor, **options):
    """Assert that a candidate gives what the block does in float64, at each single pixel, too."""
    exact = RES(32, block.conv1.dilation[0]).double().requires_grad_(False)
    exact.load_state_dict(block.state_dict())
    expected = exact(x.cpu().double())
    result = candidate(x, *weights_of(block), block.conv1.dilation[0], **options)
    assert result.dtype == x.dtype and result.shape == x.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    error = result.cpu().double() - expected
    assert error.norm() <= TOLERANCE[x.dtype] * expected.norm()
    scale = expected.norm(dim=1).mean()
    assert error.norm(dim=1).max() <= 5 * TOLERANCE[x.dtype] * scale


@pytest.mark.parametrize('name, dilation, dtype, size, region', [
    # several tiles up, across and in the batch, none of which fits
    ('one_kernel', 1, torch.float32, (2, 15, 17), (16, 16)),
    ('one_kernel', 2, torch.float16, (1, 5, 31), (16, 32)),
    ('one_kernel', 4, torch.float16, (2, 9, 11), (16, 16)),
    ('one_kernel', 4, torch.float32, (1, 1, 25), (32, 32)),
    ('one_kernel', 1, torch.float16, (1, 14, 63), None),
    ('two_kernels', 1, torch.float32, (2, 7, 11), None),
    ('two_kernels', 2, torch.float16, (3, 5, 9), None),
    ('two_kernels', 4, torch.float16, (1, 13, 17), None)])
def test_interpreted_equals_float64(load_kernels, name, dilation, dtype, size, region):
    kernels = load_kernels('triton_residual', True)
    block = block_of(dilation, dtype)
    images, height, width = size
    x = torch.randn(images, 32, height, width).to(dtype)
    options = {'region': region} if name == 'one_kernel' else {}
    compare(getattr(kernels, name), block, x, **options)


@pytest.mark.parametrize('name', FORMS)
def test_block_runs_the_kernels_with_its_weights(load_kernels, name):
    candidate = getattr(load_kernels('triton_residual', True), name)
    block = block_of(2, torch.float16)
    autotuner = Autotuner('cpu', (torch.float16,), lambda *_: name)
    fused = FusedRES(block, autotuner, {name: candidate})
    x = torch.randn(1, 32, 8, 9).half()
    result, expected = fused(x), block.float()(x.float())
    assert not torch.equal(result, block.half()(x)), 'rounded less often than by the modules'
    assert (result - expected).norm() <= 1e-3 * expected.norm()


def test_region_follows_from_size_and_dilation(load_kernels):
    choose_region = load_kernels('triton_residual', True).choose_region
    # tiles of 14x14 fill 100 programs once; those of any larger region leave most of them idle
    assert choose_region(140, 140, 1, 1, 100) == (16, 16)
    # with few programs, what counts is how little is repeated: 8 + 5 blocks for 24x24 pixels
    # against 8 + 4 for 8x56, and 8 + 7 for 14x62 against 8 + 8 for 30x30
    assert choose_region(1080, 1920, 1, 4, 2) == (32, 32)
    assert choose_region(1080, 1920, 4, 1, 2) == (16, 64)
    with pytest.raises(ValueError, match='dilation of 16'):
        choose_region(64, 64, 1, 16, 8)


@pytest.mark.parametrize('name', FORMS)
def test_refuses(load_kernels, name):
    kernels = load_kernels('triton_residual', True)
    candidate = getattr(kernels, name)
    block = block_of(1, torch.float16)
    weights = (*weights_of(block), 1)
    for shape in ((1, 16, 8, 8), (32, 8, 8), (0, 32, 8, 8)):
        with pytest.raises(ValueError, match='expected features'):
            candidate(torch.zeros(shape), *weights)
    with pytest.raises(ValueError, match='32-bit'):
        candidate(torch.zeros(1, 32, 1, 1).expand(1, 32, 8192, 8192), *weights)


@pytest.mark.parametrize('capability, instruction', [(80, 'mma.sync'), (90, 'wgmma.mma_async')])
@pytest.mark.parametrize('kernel, constants', [
    ('_residual', {'DILATION': 4, 'REGION_H': 32, 'REGION_W': 32}),
    ('_convolution', {'DILATION': 2, 'SKIP': True})])
def test_compiles_to_matrix_instructions(compile_kernel, capability, instruction, kernel,
                                         constants):
    ptx = compile_kernel('triton_residual', kernel, constants | {'BLOCK': 128, 'CHANNELS': 32},
                         capability, num_warps=4)
    assert instruction in ptx
    assert 'cp.async' in ptx, 'loads overlap with products'
    assert 'st.global.v4' in ptx, '16 bytes are written at once'


@pytest.mark.gpu
@pytest.mark.parametrize('name', FORMS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('dilation', [1, 2, 4])
def test_equals_float64_on_a_gpu(load_kernels, name, dtype, dilation):
    kernels = load_kernels('triton_residual', False)
    block = block_of(dilation, dtype, 'cuda')
    for size in ((2, 135, 241), (1, 1, 7), (1, 270, 480)):
        # not channels last, as the first of these: copied
        x = torch.randn(size[0], 32, *size[1:], device='cuda').to(dtype)
        compare(getattr(kernels, name), block, x)
    for region in kernels._REGIONS if name == 'one_kernel' else ():
        compare(kernels.one_kernel, block, x, region=region)
