# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a recipe describes: its preset, overrides, and the model it starts from."""

import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.network import VeilConfig, build
from ubcn_ros.training.architecture import model_config


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


@pytest.mark.parametrize('overrides', [{'derrain': {}}, {'derain': {'chanels': 3}}])
def test_an_unknown_override_is_named(recipe, overrides):
    config = recipe('derain', model={'preset': 'light', 'overrides': overrides})
    with pytest.raises(ValueError, match='derrain|chanels'):
        model_config(config, CAMVID)


def test_a_veil_is_put_in_front_changed_and_left_out(recipe):
    def veil(preset, overrides):
        config = recipe('derain', model={'preset': preset, 'overrides': overrides})
        return model_config(config, CAMVID).veil

    assert veil('light', {}) is None
    assert veil('light', {'veil': {'depth': 3}}) == VeilConfig(depth=3)
    assert veil('light-next', {}) == VeilConfig()
    assert veil('light-next', {'veil': {'every_step': True}}) == VeilConfig(every_step=True)
    assert veil('light-next', {'veil': None}) is None
    for preset in ('light', 'light-next'):
        with pytest.raises(ValueError, match='overrides.*depth is .many'):
            veil(preset, {'veil': {'depth': 'many'}})


def test_the_published_context_instead_of_a_window(recipe):
    config = recipe('derain', model={'preset': 'light-next', 'overrides': {
        'segmentation_options': {'context_window': None}}})
    assert build(model_config(config, CAMVID)).segmentation.pyramid.window is None
