# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fused convolutions are the plain ones with their bias, skip and ReLU."""

import copy
import logging
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network import UBCNConfig, build, build_segmentation
from ubcn_ros.network.blocks import RES
from ubcn_ros.network.segmentation import ddrnet
from ubcn_ros.runtime.kernels.autotune import Autotuner, fastest
from ubcn_ros.runtime.kernels.fused_convolution import (
    FusedBlock,
    FusedConv,
    FusedConvRES,
    fuse_convolutions,
)
from ubcn_ros.runtime.kernels.fused_path_mix import fuse_path_mixes, one_product
from ubcn_ros.runtime.kernels.fused_residual import fuse_residual_blocks
from ubcn_ros.runtime.optimize import fold_batch_norm, prepare

CALLS: list[str] = []


def at_once(x, weight, bias, stride, padding, dilation, groups):
    """Stand for cuDNN's operation, which needs a GPU."""
    CALLS.append('relu')
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups).relu()


def at_once_with_skip(x, weight, skip, alpha, bias, stride, padding, dilation, groups):
    CALLS.append('add, relu')
    return (F.conv2d(x, weight, bias, stride, padding, dilation, groups) + alpha * skip).relu()


@pytest.fixture(autouse=True)
def operations(monkeypatch):
    CALLS.clear()
    # not 'triton' itself: torch.compile imports it, where it is
    monkeypatch.setitem(sys.modules, 'ubcn_ros.runtime.kernels.triton_convolution', None)
    monkeypatch.setattr(torch, 'cudnn_convolution_relu', at_once)
    monkeypatch.setattr(torch, 'cudnn_convolution_add_relu', at_once_with_skip)


class Kernel:
    """Stands for the module of the kernel in Triton."""

    @staticmethod
    def convolve(x, weight, bias, skip, slope, stride, padding, dilation, stages):
        CALLS.append(f'Triton {stages}')
        side = round(len(weight) ** 0.5)
        weight = weight.unflatten(0, (side, side)).permute(3, 2, 0, 1)
        y = F.conv2d(x, weight, bias, stride, padding, dilation)
        return F.leaky_relu(y if skip is None else y + skip, slope)


def last(reference, candidates, x, operation):
    """Choose the last of the candidates, whatever the time that it takes."""
    return list(candidates)[-1]


def on_cpu(choose=last) -> Autotuner:
    return Autotuner('cpu', (torch.float32,), choose)


def failures(caplog) -> list[str]:
    """Lines of the log but the one that says that Triton is missing."""
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if not line.startswith('triton_convolution is not used')]


def trained(network: nn.Module) -> nn.Module:
    """Give every parameter and statistic a value of its own."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
            if not module.weight.any():
                nn.init.normal_(module.weight, std=0.02)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize('relu', [True, False])
@pytest.mark.parametrize('channels, stride, bias', [(16, 1, True), (12, 2, False), (3, 1, True)])
def test_conv_equals_plain_modules(caplog, channels, stride, bias, relu):
    conv = trained(nn.Conv2d(channels, 8, 3, stride, 2, 2, bias=bias))
    autotuner = on_cpu()
    one = FusedConv(conv, autotuner, 0.0 if relu else 1.0)
    assert one.state_dict().keys() == conv.state_dict().keys()
    x = torch.randn(2, channels, 11, 13)
    for skip in (None, torch.randn_like(conv(x))):
        expected = conv(x) if skip is None else conv(x) + skip
        expected = expected.relu() if relu else expected
        torch.testing.assert_close(one(x, skip), expected, rtol=1e-4, atol=1e-4)
    filled_up = {True: 'cuDNN, channels filled up', False: 'PyTorch, channels filled up'}[relu]
    names = {'cuDNN'} if relu and channels == 16 else {filled_up} if channels != 16 else set()
    assert set(autotuner.chosen.values()) == names
    assert bool(CALLS) == relu
    assert not failures(caplog)


def test_what_reads_the_memory_of_its_result_is_left_out(monkeypatch, caplog):
    """As cuDNN may: its candidate without skip is the one with the result as skip, times 0."""
    memory = []
    full_like = torch.full_like

    def kept(*arguments):
        memory.append(full_like(*arguments))
        return memory[-1]
    monkeypatch.setattr(torch, 'full_like', kept)
    monkeypatch.setattr(torch, 'cudnn_convolution_relu',
                        lambda *arguments: at_once(*arguments) + 0 * memory[-1])
    autotuner = on_cpu(fastest)
    conv = trained(nn.Conv2d(8, 8, 3))
    FusedConv(conv, autotuner, 0.0)(torch.randn(1, 8, 9, 9))
    assert list(autotuner.chosen.values()) == ['reference']
    assert 'cuDNN is left out' in caplog.text


@pytest.mark.parametrize('slope, skip', [(0.0, True), (0.1, False), (1.0, True)])
def test_large_images_by_our_kernel(slope, skip):
    conv = trained(nn.Conv2d(12, 8, 3, 2, 1))
    one = FusedConv(conv, on_cpu(), slope, Kernel)
    for size, ours in ((128, True), (127, False)):
        CALLS.clear()
        x = torch.randn(1, 12, size, size)
        add = torch.randn_like(conv(x)) if skip else None
        expected = F.leaky_relu(conv(x) + add if skip else conv(x), slope)
        torch.testing.assert_close(one(x, add), expected, rtol=1e-4, atol=1e-4)
        assert CALLS == ['Triton 1'] if ours else 'Triton 1' not in CALLS
    CALLS.clear()
    oblong = FusedConv(trained(nn.Conv2d(8, 8, (1, 3))), on_cpu(), slope, Kernel)
    oblong(torch.zeros(1, 8, 128, 128))
    assert 'Triton 1' not in CALLS


def test_with_our_kernel_every_convolution_is_fused():
    network = trained(build(UBCNConfig.preset('light')))
    fold_batch_norm(network)
    fuse_residual_blocks(network, on_cpu(), {'reference': None})
    fuse_path_mixes(network, on_cpu(), {'one product': one_product})
    plain = copy.deepcopy(network)
    fuse_convolutions(network, on_cpu(), Kernel)
    left = [name for name, module in network.named_modules() if type(module) is nn.Conv2d]
    assert all('.conv' in name or name.endswith('.mix') for name in left), left
    assert not any(type(module) in (nn.ReLU, nn.LeakyReLU)
                   for part in (network.derain, network.veil, network.attention.veil)
                   for module in part.modules())
    image = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        for found, expected in zip(network(image, 2), plain(image, 2), strict=True):
            assert (found.image - expected.image).abs().max() <= 1e-4
            assert (found.logits - expected.logits).norm() <= 1e-3 * expected.logits.norm()
    assert 'Triton 1' in CALLS


def test_without_triton_the_log_says_so(caplog):
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    assert fuse_convolutions(network, on_cpu()) == 1
    assert 'triton_convolution is not used' in caplog.text


@pytest.mark.parametrize('name', ['ddrnet23_slim', 'pspnet_resnet50'])
def test_segmentation_equals_plain(caplog, name):
    options = {'width': 8, 'stride2_head': True} if name == 'ddrnet23_slim' else {}
    network = trained(build_segmentation(name, 4, **options))
    fold_batch_norm(network)
    plain = copy.deepcopy(network)
    assert fuse_convolutions(network, on_cpu()) > 15
    assert fuse_convolutions(network, on_cpu()) == 0, 'none is left'
    blocks = sum(isinstance(module, FusedBlock) for module in network.modules())
    assert blocks == {'ddrnet23_slim': 6, 'pspnet_resnet50': 16}[name]
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected, result = plain(image), network(image)
    assert CALLS.count('add, relu') >= blocks and 'relu' in CALLS
    assert not failures(caplog), 'no candidate fails'
    assert (result - expected).norm() <= 1e-4 * expected.norm()


def test_the_light_preset_equals_plain(caplog):
    network = trained(build(UBCNConfig.preset('light')))
    fold_batch_norm(network)
    plain = copy.deepcopy(network)
    assert fuse_convolutions(network, on_cpu()) > 50
    assert not any(type(module) is RES for module in network.modules())
    for part in (network.derain, network.attention):
        assert isinstance(part.head[0][0], FusedConv) and part.head[0][0].in_channels in (12, 24)
    for veil in (network.veil, network.attention.veil):
        assert isinstance(veil.texture[0], FusedConv)
        assert isinstance(veil.middle[0], FusedConvRES)
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        for found, expected in zip(network(image, 2), plain(image, 2), strict=True):
            assert (found.image - expected.image).abs().max() <= 1e-4
            assert (found.logits - expected.logits).norm() <= 1e-3 * expected.logits.norm()
    assert not failures(caplog), 'no candidate fails'


def test_plain_where_forms_do_not_apply():
    conv = trained(nn.Conv2d(12, 8, 3))
    autotuner = on_cpu()
    one = FusedConv(conv, autotuner, 0.0)
    x = torch.randn(1, 12, 9, 9)
    expected = conv(x).relu()
    assert torch.equal(torch.jit.trace(one, x, check_trace=False)(x), expected)
    needs_gradient = x.clone().requires_grad_()
    one(needs_gradient).sum().backward()
    assert needs_gradient.grad is not None
    assert torch.equal(torch.compile(one, backend='eager', fullgraph=True)(x), expected)
    seen = []
    one.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(one(x), expected)
    assert seen, 'it is a convolution to whoever watches these'
    assert torch.equal(one.double()(x.double()), conv.double()(x.double()).relu())
    assert not autotuner.chosen and not CALLS


def watched(module):
    """Register a hook."""
    module.register_forward_hook(lambda *_: None)
    return module


def test_leaves_what_does_not_fit():
    class Own(nn.Sequential):
        pass

    network = nn.ModuleList((nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
                             nn.Sequential(nn.Conv2d(8, 8, 3, groups=2), nn.ReLU()),
                             nn.Sequential(nn.Conv2d(8, 8, 3, padding='same'), nn.ReLU()),
                             nn.Sequential(nn.Conv2d(8, 8, 3).half(), nn.ReLU()),
                             nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(8, 8, 3)), nn.ReLU()),
                             Own(nn.Conv2d(8, 8, 3), nn.ReLU()),
                             nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU6()),
                             nn.Sequential(nn.Conv2d(8, 8, 3), watched(nn.ReLU())),
                             nn.Sequential(nn.Conv2d(8, 8, 3), watched(nn.Identity()), nn.ReLU()),
                             watched(RES(8))))
    assert fuse_convolutions(network, on_cpu()) == 0


@pytest.mark.parametrize('part', ['skip', '', 'layers', 'layers.1', 'layers.1.0', 'layers.1.1'])
def test_leaves_a_block_that_somebody_watches(part):
    network = nn.Sequential(ddrnet.BasicBlock(8, 8).eval())
    fold_batch_norm(network)
    watched(network[0].get_submodule(part))
    fuse_convolutions(network, on_cpu())
    assert type(network[0]) is (FusedBlock if part == 'skip' else ddrnet.BasicBlock)


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_prepared_for_a_gpu_equals_plain(monkeypatch, dtype, caplog):
    monkeypatch.undo()  # cuDNN's own
    caplog.set_level(logging.INFO)
    network = trained(build(UBCNConfig.preset('light')))
    exact = copy.deepcopy(network).to('cuda')
    network = prepare(network, torch.device('cuda'), dtype)
    for _ in range(2):  # chosen, then run
        image = torch.rand(1, 3, 270, 480, device='cuda')
        with torch.inference_mode():
            for found, expected in zip(network(image, 2), exact(image, 2), strict=True):
                error = (found.image - expected.image).norm()
                assert error <= 0.02 * expected.image.norm()
                assert (found.logits - expected.logits).norm() <= 0.05 * expected.logits.norm()
    lines = [record.getMessage() for record in caplog.records]
    assert not [line for line in lines if 'failed' in line or 'could be tried' in line], lines
