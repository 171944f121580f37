# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel that resizes is PyTorch's interpolation, and runs only where that is decided."""

import copy
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network import UBCNConfig, build
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.fused_resize import FusedResize, fuse_resizes
from ubcn_ros.runtime.optimize import prepare

TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
SIZES = [((7, 5), (14, 10)), ((9, 16), (17, 31)), ((30, 17), (11, 8)), ((1, 1), (3, 5))]


def reference(x, size):
    return F.interpolate(x, size, mode='bilinear', align_corners=False)


def compare(resize, x, size):
    result = resize(x, size)
    assert result.dtype == x.dtype
    assert result.is_contiguous(memory_format=torch.channels_last)
    expected = reference(x.cpu().double(), size)
    error = (result.cpu().double() - expected).abs().max()
    assert error <= TOLERANCE[x.dtype] * expected.abs().max() * 5


@pytest.mark.parametrize('before, after', SIZES)
@pytest.mark.parametrize('n, channels, dtype', [(2, 16, torch.float32), (1, 11, torch.float16),
                                                (1, 80, torch.float16)])
def test_interpreted_equals_float64(load_kernels, n, channels, dtype, before, after):
    resize = load_kernels('triton_resize', True).resize
    compare(resize, torch.randn(n, channels, *before).to(dtype), after)


def test_refuses(load_kernels):
    resize = load_kernels('triton_resize', True).resize
    with pytest.raises(ValueError, match='run the reference module'):
        resize(torch.zeros(0, 3, 4, 4), (8, 8))
    with pytest.raises(ValueError, match='32-bit'):
        resize(torch.zeros(1, 64, 4, 4), (8192, 8192))


def test_network_resizes_by_it():
    network = build(UBCNConfig.preset('light')).eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)
    before = copy.deepcopy(network)
    sizes = []

    def candidate(x, size):
        sizes.append((x.shape[1], *size))
        return reference(x, size)
    autotuner = Autotuner('cpu', (torch.float32,), lambda *_: 'Triton')
    parts = 5  # SAM, two of DDRNet, and the veils of IDM and SAM
    assert fuse_resizes(network, autotuner, candidate) == parts
    assert fuse_resizes(network, autotuner, candidate) == parts
    assert isinstance(network.veil.resize.reference, type(reference)), 'once'
    image = torch.rand(1, 3, 256, 256)
    for found, expected in zip(network(image, 2), before(image, 2), strict=True):
        assert torch.equal(found.image, expected.image)
        assert torch.equal(found.logits, expected.logits)
    assert {(6, 256, 256), (16, 128, 128)} <= {*sizes}, 'gain and offset, and the hints to SAM'


def test_plain_where_the_candidate_does_not_apply():
    autotuner = Autotuner('cpu', (torch.float32,))
    resize = FusedResize(reference, autotuner, None)
    x = torch.randn(1, 8, 9, 9)
    expected = reference(x, (200, 200))
    assert torch.equal(resize(x, (200, 200)), expected), 'not channels last'
    x = x.to(memory_format=torch.channels_last)
    assert torch.equal(resize(x, (20, 20)), reference(x, (20, 20))), 'small'
    module = nn.Module()
    module.resize, module.forward = resize, lambda x: resize(x, (200, 200))
    code = torch.compile(module, backend='eager', fullgraph=True)
    assert torch.equal(code(x), reference(x, (200, 200)))
    assert not autotuner.chosen


def test_without_triton_all_stays_plain(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'triton', None)
    monkeypatch.delitem(sys.modules, 'ubcn_ros.runtime.kernels.triton_resize', raising=False)
    network = build(UBCNConfig.preset('light'))
    assert fuse_resizes(network, Autotuner()) == 0
    assert not isinstance(network.attention.resize, FusedResize)
    assert 'triton_resize is not used' in caplog.text


@pytest.mark.parametrize('capability', [80, 90])
def test_kernel_compiles(compile_kernel, capability):
    ptx = compile_kernel('triton_resize', '_resize', {'CHANNELS': 16, 'BLOCK': 128, 'WIDTH': 16},
                         capability, ('scale_y', 'scale_x'))
    assert 'ld.global.v4' in ptx and 'st.global.v4' in ptx, '16 bytes at once'


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_equals_float64_on_a_gpu(load_kernels, dtype, caplog):
    resize = load_kernels('triton_resize', False).resize
    for before, after in (*SIZES, ((135, 241), (270, 480))):
        for channels in (11, 16, 64, 128):
            compare(resize, torch.randn(2, channels, *before, device='cuda').to(dtype), after)
    network = prepare(build(UBCNConfig.preset('light')), torch.device('cuda'), dtype)
    assert isinstance(network.attention.resize, FusedResize)
    x = torch.randn(1, 16, 96, 128, device='cuda', dtype=dtype).to(
        memory_format=torch.channels_last)
    with torch.inference_mode():
        network.attention.resize(x, (270, 480))
    assert 'left out' not in caplog.text
