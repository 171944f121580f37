# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Baselines are trained by the stage of IDM, on every estimate that their papers train on."""

import pytest
import torch
from lightning.fabric import Fabric

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.network.baselines import REGISTRY, BaselineConfig
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.training.architecture import built, model_config
from ubcn_ros.training.run import Run
from ubcn_ros.training.stages import DerainStage
from ubcn_ros.training.train_run import train


@pytest.fixture
def make(recipe):
    """Function that makes the recipe of a baseline."""
    def made(name):
        overrides = {'derain': {'network': name}, 'attention': {'channels': 4, 'blocks': 1},
                     'segmentation': 'small_segmentation:SmallSegmentation'}
        changes = {'optimizer_steps': 1, 'batch': 1, 'optimizer': {'lr': 1e-3},
                   'samples': {'crop': [32, 32], 'renders': 1}}
        return recipe('derain', changes, model={'preset': 'light', 'overrides': overrides},
                      data={'validation_images': int(name == 'ddn')})  # the others alike
    return made


@pytest.mark.usefixtures('shallow')
@pytest.mark.parametrize('name', REGISTRY)
def test_a_few_steps_train_it_alone(name, make, data, tmp_path):
    init = tmp_path / 'init.safetensors'
    torch.manual_seed(3)
    save_model(init, built(make('ddn'), data.label_set), {'trained': ['segmentation']})
    run = Run(make(name), data, tmp_path / 'out', str(init))
    train(run, Fabric(accelerator='cpu', devices=1, precision='32-true'), run.plan(), workers=0)
    network, info = load_model(run.files.result)
    assert info.trained == ('derain', 'segmentation')
    assert info.config.derain == BaselineConfig(name)
    before = run.start('derain').network
    ours, started = network.state_dict(), before.state_dict()
    changed = {key.partition('.')[0] for key in ours if not torch.equal(ours[key], started[key])}
    assert changed == {'derain'}
    if name != 'ddn':
        return
    # and it is measured as any model is
    scenes = data.split('val')
    results = measure_scenes(LoadedModel.load(run.files.result, 'cpu', needs=info.trained), scenes,
                             [0], (150,), 1)
    assert results['rates']['150']['steps'][0]['psnr'] > 0


@pytest.mark.parametrize(('name', 'count', 'weight'), [
    ('ddn', 1, 1), ('rescan', 4, 1), ('rcdnet', 18, 0.1)])
def test_the_loss_is_the_weighted_mean_over_the_estimates(name, count, weight, make):
    config = make(name)
    network = built(config, CAMVID)
    stage = DerainStage(network, config.stages['derain'])
    clean = torch.rand(1, 3, 32, 32)
    estimates = [clean + 0.01 * (i + 1) for i in range(count)]
    network.derain.stages = lambda image: estimates
    loss, logs = stage({'clean': clean, 'degraded': clean})
    each = [stage.image_loss(estimate, clean, {}) for estimate in estimates]
    weights = [weight] * (count - 1) + [1]
    expected = sum(w * e for w, e in zip(weights, each, strict=True)) / sum(weights)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(logs['derain'], each[-1])


def test_a_baseline_takes_the_place_of_any_idm(make, recipe):
    source = model_config(recipe('derain'), CAMVID)
    config = model_config(recipe('derain', model={
        'overrides': {'derain': {'network': 'rescan'}}}), CAMVID, source)
    assert config.derain == BaselineConfig('rescan') and config.attention == source.attention
    with pytest.raises(ValueError, match='overrides: unknown baseline .*choose one of ddn'):
        model_config(make('resnet'), CAMVID)
    with pytest.raises(ValueError, match='overrides: .*channels'):
        model_config(recipe('derain', model={'preset': 'light', 'overrides': {
            'derain': {'network': 'ddn', 'channels': 3}}}), CAMVID)
