# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fused mixes are the plain trunk form, whatever the layout of the masks."""

import copy
import sys

import pytest
import torch
from torch import nn

from ubcn_ros.network.attention import PathTrunk, SAMConfig
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.fused_path_mix import (
    FusedMixTrunk,
    fuse_path_mixes,
    one_product,
)
from ubcn_ros.runtime.kernels.swap import load_kernel
from ubcn_ros.runtime.optimize import prepare

TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
"""Norm of the difference over the norm of the reference."""


def trunk_of(channels: int = 32, paths: int = 3) -> PathTrunk:
    """Give a trunk whose paths all differ."""
    trunk = PathTrunk(SAMConfig(channels, 1), paths).eval().requires_grad_(False)
    for parameter in trunk.mix.parameters():
        nn.init.normal_(parameter)
    return trunk


def inputs_of(size, channels, paths, dtype, masks_last):
    n, height, width = size
    x = torch.randn(n, channels, height, width).to(dtype, memory_format=torch.channels_last)
    masks = torch.randn(n, paths, height, width).softmax(1).to(
        dtype, memory_format=torch.channels_last if masks_last else torch.contiguous_format)
    return x, masks


def compare(candidate, trunk: PathTrunk, x, masks):
    exact = copy.deepcopy(trunk).double()
    fused = FusedMixTrunk(trunk, Autotuner(), {})
    expected = exact.weigh(x.double(), masks.double())
    result = candidate(x, masks, fused.weight, fused.bias)
    assert result.dtype == x.dtype and result.shape == x.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert (result.double() - expected).norm() <= TOLERANCE[x.dtype] * expected.norm()


@pytest.mark.parametrize('masks_last', [True, False])
@pytest.mark.parametrize('size, channels, paths, dtype', [
    ((2, 7, 23), 32, 3, torch.float32), ((1, 9, 15), 32, 7, torch.float16),
    ((3, 1, 5), 16, 1, torch.float16)])
@pytest.mark.parametrize('name', ['Triton', 'one product'])
def test_equals_float64(load_kernels, name, size, channels, paths, dtype, masks_last):
    candidate = load_kernels('triton_path_mix', True).mix if name == 'Triton' else one_product
    trunk = trunk_of(channels, paths).to(dtype)
    compare(candidate, trunk, *inputs_of(size, channels, paths, dtype, masks_last))


def test_kernel_takes_masks_that_are_a_part_of_others(load_kernels):
    candidate = load_kernels('triton_path_mix', True).mix
    x, masks = inputs_of((1, 6, 9), 32, 8, torch.float32, False)
    compare(candidate, trunk_of(), x, masks[:, 1:7:2])


def test_kernel_refuses(load_kernels):
    mix = load_kernels('triton_path_mix', True).mix
    weights = torch.zeros(3, 32, 32), torch.zeros(3, 32)
    for channels, paths, height in ((8, 3, 4), (32, 2, 4), (32, 3, 0)):
        with pytest.raises(ValueError, match='run the reference module'):
            mix(torch.zeros(1, channels, height, 4), torch.zeros(1, paths, height, 4), *weights)
    with pytest.raises(ValueError, match='32-bit'):
        mix(torch.zeros(1, 32, 1, 1).expand(1, 32, 8192, 8192),
            torch.zeros(1, 3, 1, 1).expand(1, 3, 8192, 8192), *weights)


@pytest.mark.parametrize('capability, instruction', [(80, 'mma.sync'), (90, 'wgmma.mma_async')])
def test_kernel_compiles_to_matrix_instructions(compile_kernel, capability, instruction):
    ptx = compile_kernel('triton_path_mix', '_mix', {'PATHS': 7, 'BLOCK': 128, 'CHANNELS': 32},
                         capability, num_warps=4)
    assert instruction in ptx
    assert 'ld.global.v4' in ptx or 'cp.async' in ptx, '16 bytes are read at once'
    assert 'st.global.v4' in ptx, '16 bytes are written at once'


def test_replaced_trunk_runs_the_candidate_chosen():
    network = nn.ModuleDict({'paths': trunk_of()})
    plain = copy.deepcopy(network)
    autotuner = Autotuner('cpu', (torch.float32,), lambda *_: 'one product')
    assert fuse_path_mixes(network, autotuner, {'one product': one_product}) == 1
    assert fuse_path_mixes(network, autotuner, {}) == 0, 'none is left'
    assert network.state_dict().keys() == plain.state_dict().keys()
    x, masks = inputs_of((2, 6, 7), 32, 3, torch.float32, True)
    torch.testing.assert_close(network['paths'](x, masks), plain['paths'](x, masks),
                               rtol=1e-4, atol=1e-4)
    assert list(autotuner.chosen.values()) == ['one product']


def test_plain_where_candidates_do_not_apply():
    network = nn.ModuleDict({'paths': trunk_of()})
    plain = copy.deepcopy(network['paths'])
    autotuner = Autotuner('cpu', (torch.float32,), lambda *_: 'none')
    fuse_path_mixes(network, autotuner, {'none': None})
    x, masks = inputs_of((1, 6, 7), 32, 3, torch.float32, True)
    traced = torch.jit.trace(network['paths'], (x, masks), check_trace=False)
    assert torch.equal(traced(x, masks), plain(x, masks))
    code = torch.compile(network['paths'], backend='eager', fullgraph=True)
    assert torch.equal(code(x, masks), plain(x, masks))
    seen = []
    network['paths'].mix.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(network['paths'](x, masks), plain(x, masks))
    assert seen, 'whoever watches the convolution sees it'
    assert not autotuner.chosen


def test_without_triton_there_is_one_product(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'triton', None)
    monkeypatch.delitem(sys.modules, 'ubcn_ros.runtime.kernels.triton_path_mix', raising=False)
    network = nn.Sequential(trunk_of())
    tried = []
    autotuner = Autotuner('cpu', (torch.float32,), lambda reference, candidates, *_:
                          tried.extend(candidates) or 'one product')
    assert fuse_path_mixes(network, autotuner) == 1
    network[0](*inputs_of((1, 6, 7), 32, 3, torch.float32, True))
    assert tried == ['one product']
    assert 'triton_path_mix is not used' in caplog.text


@pytest.mark.gpu
@pytest.mark.parametrize('masks_last', [True, False])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_prepared_for_a_gpu_equals_float64(dtype, masks_last, caplog):
    pytest.importorskip('triton')
    trunk = trunk_of(32, 7).to(dtype)
    exact = copy.deepcopy(trunk).double()
    network = prepare(nn.Sequential(trunk), torch.device('cuda'), dtype)
    assert type(network[0]) is FusedMixTrunk
    fused = network[0]
    fused.trunk = nn.Identity()
    x, masks = inputs_of((2, 211, 333), 32, 7, dtype, masks_last)
    expected = exact.weigh(x.double(), masks.double())
    with torch.inference_mode():
        results = [network[0](x.cuda(), masks.cuda())]
        results += [candidate(x.cuda(), masks.cuda(), fused.weight, fused.bias)
                    for candidate in (one_product, load_kernel('triton_path_mix').mix)]
    assert 'left out' not in caplog.text
    for result in results:
        error = result.cpu().double() - expected
        assert error.norm() <= 5 * TOLERANCE[dtype] * expected.norm()
