# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions by oneDNN are the plain ones with their bias, skip and ReLU."""

import copy
import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network import UBCNConfig, build
from ubcn_ros.network.baselines import BaselineConfig, build_baseline
from ubcn_ros.runtime.backends.backend import LoadOptions
from ubcn_ros.runtime.backends.eager import build as build_eager
from ubcn_ros.runtime.kernels import onednn_convolution
from ubcn_ros.runtime.kernels.onednn_convolution import OneDNNConv, fuse_by_onednn
from ubcn_ros.runtime.optimize import prepare

CPU = torch.device('cpu')


def count(network: nn.Module) -> int:
    return sum(isinstance(module, OneDNNConv) for module in network.modules())


def varied(network: nn.Module) -> nn.Module:
    """Give every parameter a value of its own: some begin at zero."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('slope', [0.0, 0.2, 1.0])
@pytest.mark.parametrize('kernel, stride, padding, dilation, bias', [
    (3, 1, 1, 1, True), (3, 2, 2, 2, False), ((1, 3), (1, 2), (0, 1), 1, True),
    (1, 1, 0, 1, True)])
def test_a_convolution_equals_the_modules(kernel, stride, padding, dilation, bias, slope, layout):
    conv = nn.Conv2d(5, 8, kernel, stride, padding, dilation, bias=bias).requires_grad_(False)
    x = torch.randn(2, 5, 13, 22).contiguous(memory_format=layout)
    one = OneDNNConv(conv, slope)
    assert one.state_dict().keys() == conv.state_dict().keys()
    torch.testing.assert_close(one(x), F.leaky_relu(conv(x), slope), rtol=1e-5, atol=1e-5)
    if slope in (0, 1):
        skip = torch.randn_like(conv(x))
        torch.testing.assert_close(one(x, skip), F.leaky_relu(conv(x) + skip, slope),
                                   rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('preset', ['light', 'paper'])
def test_a_network_equals_itself(preset):
    network = varied(build(UBCNConfig.preset(preset)).eval())
    plain, fused = (prepare(copy.deepcopy(network), CPU, torch.float32, fused=fused)
                    for fused in (False, True))
    assert not count(plain)
    convolutions = sum(type(module) is nn.Conv2d for module in fused.modules())
    assert count(fused) > convolutions, 'most are before a skip or a ReLU'
    image = torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        for ours, theirs in zip(fused(image, 2), plain(image, 2), strict=True):
            for found, expected in ((ours.image, theirs.image), (ours.logits, theirs.logits)):
                scale = expected.abs().max()
                torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-3)


def test_a_network_without_convolutions_of_ours_stays():
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU())
    fuse_by_onednn(network)
    assert not count(network)


@pytest.mark.parametrize('forward', [
    lambda conv, x, skip=None: torch.ops.mkldnn.no_such_operator(x),
    lambda conv, x, skip=None: conv.weight.sum() * torch.ones(3),
    lambda conv, x, skip=None: torch.zeros_like(conv._conv_forward(x, conv.weight, conv.bias))])
def test_an_operator_that_is_not_as_expected_is_left_out(monkeypatch, caplog, forward):
    monkeypatch.setattr(onednn_convolution.OneDNNConv, 'forward', forward)
    network = varied(build_baseline(BaselineConfig('ddn')).eval())
    with caplog.at_level(logging.INFO):
        prepare(network, CPU, torch.float32)
    assert not count(network)
    assert 'convolutions are not fused on this CPU' in caplog.text


@pytest.mark.parametrize('fused', [True, False])
def test_the_backend_eager_fuses_on_a_cpu_unless_told_not_to(tiny_model, fused):
    network = build_eager(LoadOptions(tiny_model, CPU, 'fp32', fused=fused)).network
    assert bool(count(network)) == fused
