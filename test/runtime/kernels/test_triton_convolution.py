# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The convolution in Triton against PyTorch's in float64: interpreted, compiled, and on a GPU."""

import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.runtime.kernels.launch import pack

pytest.importorskip('triton')
TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
"""Norm of the difference over the norm of the reference."""
CASES = [
    # channels in and out, kernel, stride, padding, dilation, slope
    (3, 32, 3, 2, 1, 1, 0.0), (12, 16, 3, 1, 1, 1, 0.1), (48, 32, 3, 1, 1, 1, 1.0),
    (32, 12, 3, 1, 2, 2, 0.0), (40, 80, 1, 2, 0, 1, 1.0), (10, 32, 1, 1, 0, 1, 1.0)]


def compare(kernels, case, size, dtype, with_skip, device='cpu', **options):
    inputs, outputs, kernel, stride, padding, dilation, slope = case
    x = torch.randn(size[0], inputs, *size[1:]).to(dtype)
    weight = torch.randn(outputs, inputs, kernel, kernel).to(dtype)
    bias = torch.randn(outputs).to(dtype)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), stride, padding, dilation)
    skip = torch.randn(expected.shape).to(dtype) if with_skip else None
    if with_skip:
        expected = expected + skip.double()
    expected = F.leaky_relu(expected, slope)
    result = kernels.convolve(
        x.to(device), pack(weight.to(device)), bias.to(device),
        None if skip is None else skip.to(device), slope, stride, padding, dilation, **options)
    assert result.dtype == dtype and result.shape == expected.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    error = result.cpu().double() - expected
    assert error.norm() <= TOLERANCE[dtype] * expected.norm()
    assert error.norm(dim=1).max() <= 5 * TOLERANCE[dtype] * expected.norm(dim=1).mean()


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('dtype, size, with_skip', [(torch.float32, (2, 9, 19), True),
                                                    (torch.float16, (1, 11, 8), False)])
def test_interpreted_equals_float64(load_kernels, case, dtype, size, with_skip):
    compare(load_kernels('triton_convolution', True), case, size, dtype, with_skip)


def test_refuses(load_kernels):
    kernels = load_kernels('triton_convolution', True)
    weight, bias = torch.zeros(9, 16, 8), torch.zeros(8)
    with pytest.raises(ValueError, match='does not fit'):
        kernels.convolve(torch.zeros(1, 8, 9, 9), weight, bias)
    with pytest.raises(ValueError, match='does not fit'):
        kernels.convolve(torch.zeros(1, 16, 2, 9), weight, bias)
    with pytest.raises(ValueError, match='does not fit'):
        kernels.convolve(torch.zeros(1, 16, 9, 9), weight, bias, torch.zeros(1, 8, 9, 9))
    with pytest.raises(ValueError, match='32-bit'):
        kernels.convolve(torch.zeros(1, 16, 1, 1).expand(1, 16, 16384, 8192), weight, bias)


@pytest.mark.parametrize('capability, instruction', [(80, 'mma.sync'), (90, 'wgmma.mma_async')])
@pytest.mark.parametrize('inputs, outputs, stride, stages', [(64, 64, 1, 3), (48, 32, 1, 1),
                                                             (12, 16, 1, 3), (3, 32, 2, 1)])
def test_compiles_to_matrix_instructions(compile_kernel, capability, instruction, inputs, outputs,
                                         stride, stages):
    constants = {'INPUTS': inputs, 'OUTPUTS': outputs, 'KERNEL': 3, 'STRIDE': stride,
                 'PADDING': 1, 'DILATION': 1, 'SKIP': True, 'TILE_H': 8, 'TILE_W': 16,
                 'CHUNK': 32 if inputs > 16 else 16, 'BLOCK': outputs}
    ptx = compile_kernel('triton_convolution', '_convolution', constants, capability, ('slope',),
                         num_warps=4, num_stages=stages)
    assert instruction in ptx
    assert 'st.global.v4' in ptx, '16 bytes are written at once'
    if inputs % 16 == 0:
        assert ('cp.async' if stages > 1 else 'ld.global.v4') in ptx


@pytest.mark.gpu
@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_equals_float64_on_a_gpu(load_kernels, case, dtype):
    kernels = load_kernels('triton_convolution', False)
    for with_skip in (False, True):
        for stages in (1, 3):
            compare(kernels, case, (2, 135, 241), dtype, with_skip, 'cuda', stages=stages)
