# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folding changes nothing but the speed; which kernels are chosen is said."""

import pytest
import torch
from torch import nn

from ubcn_ros.labels import numbered_labels
from ubcn_ros.network import IDMConfig, SAMConfig, UBCNConfig, build, build_segmentation
from ubcn_ros.network.segmentation.base import SegmentationNetwork
from ubcn_ros.runtime import Engine, ModelFileError, save_model
from ubcn_ros.runtime.kernels.choices import choices_of
from ubcn_ros.runtime.optimize import fold_batch_norm, use_fused_kernels


def test_folded_equals_plain():
    torch.manual_seed(0)
    network = build_segmentation('ddrnet23_slim', 4, width=8).eval()
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):  # statistics as after training
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
            m.weight.data.uniform_(0.5, 2)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(image)
        folded = fold_batch_norm(network)
        assert folded > 20
        assert torch.allclose(network(image), before, rtol=1e-3, atol=1e-3 * before.abs().max())


class Standardised(nn.Conv2d):
    """A convolution of weights that its forward pass standardises."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class Residual(nn.Sequential):
    """A Sequential that adds what its convolution returns, too."""

    def forward(self, x):
        y = self[0](x)
        return y + self[1](y)


def hooked(kind, module):
    """Register a hook that doubles what goes in, or comes out."""
    if kind == 'input':
        module.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))
    else:
        module.register_forward_hook(lambda module, inputs, output: 2 * output)
    return module


OWN = {
    'subclass': lambda: nn.Sequential(Standardised(3, 4, 3), nn.BatchNorm2d(4)),
    'parametrized': lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)),
    'hook': lambda: nn.Sequential(
        nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)),
    'hook before the norm': lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), hooked('input', nn.BatchNorm2d(4))),
    'hook behind the norm': lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), hooked('output', nn.BatchNorm2d(4))),
    'Sequential': lambda: Residual(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
    'no statistics': lambda: nn.Sequential(nn.Conv2d(3, 4, 3),
                                           nn.BatchNorm2d(4, track_running_stats=False))}


@pytest.mark.parametrize('kind', OWN)
def test_modules_that_compute_something_else_stay(kind):
    torch.manual_seed(0)
    network = OWN[kind]().eval()
    if (norm := network[1]).running_var is not None:
        norm.running_var.uniform_(2, 9)
    image = torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        before = network(image)
        assert fold_batch_norm(network) == 0 and torch.equal(network(image), before)


class Own(SegmentationNetwork):
    """A network whose features are one layer, ``count`` modules of which are called at once."""

    feature_channels = 4

    def __init__(self, num_classes, count, norm, kind=nn.Sequential):
        super().__init__()
        self.count = count
        self.layer = kind(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm else nn.Identity(),
                          nn.ReLU())
        self.classifier = nn.Conv2d(4, num_classes, 1)

    def encode(self, x):
        before = self.layer[:self.count](x)
        return self.layer[self.count:](before), before

    def classify(self, features, before):
        return self.classifier(features - before)


class Parts(nn.Sequential):
    """To be taken apart."""


class OwnOfASubclass(Own):
    """The same, its layer of a class of its own."""

    def __init__(self, num_classes, count, norm):
        super().__init__(num_classes, count, norm, Parts)


@pytest.mark.parametrize('norm', [True, False])
@pytest.mark.parametrize('count', [1, 2])
def test_an_own_network_that_folding_changes_is_refused(tmp_path, count, norm):
    def saved(kind, count):
        network = build(UBCNConfig(
            numbered_labels(3), IDMConfig(4, 1), SAMConfig(4, 1), f'{__name__}:{kind}',
            {'count': count, 'norm': norm}))
        save_model(tmp_path / 'own.safetensors', network, {})
        return tmp_path / 'own.safetensors'

    torch.manual_seed(0)
    for kind, whole in (('Own', 3), ('OwnOfASubclass', count)):
        Engine.load(saved(kind, whole), 'cpu', 'bf16')
    with pytest.raises(ModelFileError, match="test_optimize:Own' gives something else"):
        Engine.load(saved('Own', count), 'cpu', 'bf16')


@pytest.mark.parametrize('writable', [True, False])
def test_where_choices_of_kernels_come_from_is_said(monkeypatch, tmp_path, writable):
    cpu, cache = torch.device('cpu'), tmp_path if writable else '/proc/ubcn'
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))  # else set for all other tests
    said = []
    for autotune in (True, False):
        use_fused_kernels(nn.Sequential(nn.Conv2d(3, 3, 3)), cpu, autotune, said.append)
    choices_of(cpu).keep('a kind', 'Triton')
    use_fused_kernels(nn.Sequential(), cpu, True, said.append)
    timed, reference, kept = said
    assert timed.endswith('made by timing') and reference.endswith("PyTorch's own run")
    assert kept == f'1 kernel choices are taken from {choices_of(cpu).path or "this process"}'
    assert (choices_of(cpu).path is not None) == writable
