# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a recipe describes: its preset, overrides, and the model it starts from."""

import copy

import pytest
import torch
from torch import nn

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.network import Discriminator, VeilConfig, build
from ubcn_ros.training.architecture import built, initialize, model_config
from ubcn_ros.training.config import ModelConfig


def test_the_path_threshold_is_set_by_a_recipe(recipe):
    overrides = {'attention': {'path_threshold': 0.02}}
    model = {'preset': 'light', 'overrides': overrides}
    config = model_config(recipe('derain', model=model), CAMVID)
    assert config.attention.path_threshold == 0.02
    assert build(config).attention.config == config.attention
    overrides['attention']['path_threshold'] = -1
    with pytest.raises(ValueError, match='path_threshold -1'):
        model_config(recipe('derain', model={'preset': 'light', 'overrides': overrides}), CAMVID)


def test_a_recipe_without_a_preset_takes_the_network_of_the_model(recipe):
    source = model_config(recipe('derain'), CITYSCAPES)
    bare = recipe('derain', model={'overrides': {'attention': {'path_threshold': 0.02}}})
    with pytest.raises(ValueError, match='give --init MODEL'):
        model_config(bare, CAMVID)
    config = model_config(bare, CAMVID, source)
    assert config.derain == source.derain and config.label_set == CAMVID
    assert config.attention.path_threshold == 0.02


@pytest.mark.parametrize('overrides, text', [
    ({'derrain': {}}, 'unknown derrain; known are derain, attention, '),
    ({'derain': {'chanels': 3}}, 'derain: unknown chanels; known are channels, '),
    ({'derain': {'network': 'ddn', 'chanels': 3}}, 'derain: unknown chanels; known are network$'),
    ({'attention': {'bloks': 3}}, 'attention: unknown bloks; known are channels, blocks, '),
    ({'veil': {'deph': 3}}, 'veil: unknown deph; known are channels, depth, '),
    ({'segmentation_options': {'widht': 8}}, 'options: unknown widht; known are width, ')])
def test_an_unknown_override_is_named_with_those_known(recipe, overrides, text):
    with pytest.raises(ValueError, match=text):
        built(recipe('derain', model={'preset': 'light', 'overrides': overrides}), CAMVID)


def test_a_veil_is_put_in_front_changed_and_left_out(recipe):
    def veil(preset, overrides):
        config = recipe('derain', model={'preset': preset, 'overrides': overrides})
        return model_config(config, CAMVID).veil

    assert veil('paper', {}) is None
    assert veil('paper', {'veil': {'depth': 3}}) == VeilConfig(depth=3)
    assert veil('light', {}) == VeilConfig()
    assert veil('light', {'veil': {'depth': 3}}) == VeilConfig(depth=3)
    assert veil('light', {'veil': None}) is None
    for preset in ('paper', 'light'):
        with pytest.raises(ValueError, match='overrides.*depth is .many'):
            veil(preset, {'veil': {'depth': 'many'}})


def test_the_published_context_instead_of_a_window(recipe):
    config = recipe('derain', model={'preset': 'light', 'overrides': {
        'segmentation_options': {'context_window': None}}})
    assert build(model_config(config, CAMVID)).segmentation.pyramid.window is None


def convolutions(module):
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def test_normalized_initialization_has_its_variance_in_every_convolution(recipe):
    overrides = {'segmentation': 'ddrnet23_slim'}
    torch.manual_seed(0)
    network = built(recipe('derain', model={'preset': 'paper', 'overrides': overrides,
                                            'initialization': 'xavier'}), CAMVID)
    found = [*convolutions(network.derain), *convolutions(network.attention)]
    assert len(found) == 26 + 22
    for layer in [*found, *convolutions(network.segmentation)]:
        weight = layer.weight
        fans = weight[:, 0].numel() + weight[0].numel()
        assert weight.abs().max() <= (6 / fans) ** 0.5, 'uniform'
        tolerance = 6 / weight.numel() ** 0.5
        assert weight.var().item() == pytest.approx(2 / fans, rel=tolerance)
        assert layer.bias is None or not layer.bias.any()


def test_what_a_stage_adds_is_initialized_and_the_network_kept():
    torch.manual_seed(0)
    whole = nn.ModuleDict({'network': nn.Conv2d(3, 8, 3), 'added': Discriminator(16)})
    kept, added = copy.deepcopy([whole['network'], whole['added'].layers[0]])
    initialize(whole, ModelConfig())
    assert torch.equal(whole['added'].layers[0].weight, added.weight)
    initialize(whole, ModelConfig(initialization='xavier'), kept=whole['network'])
    assert torch.equal(whole['network'].weight, kept.weight)
    assert not whole['added'].layers[0].bias.any() and added.bias.any()
