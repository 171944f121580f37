# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped loads, and all of its stages run, each on those before."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.voc2012 import VOC2012
from ubcn_ros.data.mixture import open_data
from ubcn_ros.network import build
from ubcn_ros.node.loading import load_and_warm_up, load_engine
from ubcn_ros.node.parameters import Settings
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.runtime.model_info import PARTS
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.run import Run
from ubcn_ros.training.train_run import train

RECIPES = sorted((Path(__file__).parents[2] / 'config' / 'train').glob('*.yaml'))
TINY = {'derain': {'channels': 4, 'blocks': 1}, 'attention': {'channels': 4, 'blocks': 1},
        'segmentation': 'small_segmentation:SmallSegmentation'}
TINY_DDRNET = {**TINY, 'segmentation': 'ddrnet23_slim', 'segmentation_options': {'width': 8}}
TINY_VEIL = {'veil': {'channels': 4, 'depth': 0, 'texture': 2},
             'attention': {**TINY['attention'], 'veil_channels': 4, 'veil_depth': 0,
                           'veil_texture': 2}}


def tiny(config):
    """Make the recipe small: its networks, crops and runs, not what it does."""
    stages = {}
    for name, stage in config.stages.items():
        side = 32
        if name == 'adapt' and stage.adversarial_weight:  # features at stride 8 for it
            side = 96 if config.name == 'paper' else 64
        stages[name] = replace(stage, optimizer_steps=1, epochs=0.0, batch=2, samples=replace(
            stage.samples, crop=(side, side), renders=2, drive_share=0,
            short_sides=(32, 48) if any(stage.samples.short_sides) else (0, 0)))
    small = ({**TINY_DDRNET, **TINY_VEIL} if config.model.preset in ('', 'light') else TINY)
    return replace(config, stages=stages, data=replace(config.data, validation_images=1),
                   model=replace(config.model, overrides={**config.model.overrides, **{
                       key: {**config.model.overrides.get(key, {}), **value}
                       if isinstance(value, dict) else value for key, value in small.items()
                       if config.model.overrides.get(key, {}) is not None}}))


def test_there_are_recipes():
    assert {path.stem for path in RECIPES} == {
        'paper', 'light', 'light-small', 'holdout', 'fine-tune', 'voc2012', 'baselines',
        'baselines-small', 'degradations', 'degradations-small'}


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_every_variant_is_a_recipe_of_its_own(path):
    config = TrainConfig.load(path)
    assert config.name == path.stem
    whole = {**config.to_dict(), 'name': ''}
    others = [config.variant(name) for name in config.variants]
    for other in others:
        model_config(other, CAMVID)
        assert other.name.startswith(f'{config.name}-') and not other.variants
    differing = [{**other.to_dict(), 'name': ''} for other in others if
                 other.name != f'{config.name}-whole']
    assert all(values not in (whole, *differing[:n]) for n, values in enumerate(differing))


def _check_voc2012(path):
    """It has a path for the background and one for all else, and the node loads and runs it."""
    settings = Settings.of({'model': str(path), 'device': 'cpu', 'warm_up_height': 48,
                            'warm_up_width': 64})
    engine, _ = load_and_warm_up(load_engine, settings, lambda text: None)
    assert engine.label_set == VOC2012
    assert [len(group) for group in VOC2012.paths] == [1, 20]
    assert load_model(path)[0].path_groups.shape[:2] == (2, 21)
    frame = engine(np.full((48, 64, 3), 90, np.uint8), iterations=2)
    assert frame.labels.shape == (48, 64) and frame.labels.max() < 21


# made tiny, degradations-small is degradations
@pytest.mark.parametrize('path', [path for path in RECIPES if path.stem != 'degradations-small'],
                         ids=lambda path: path.stem)
def test_all_stages_run(path, data, voc_root, tmp_path, few_pictures, request):
    config = TrainConfig.load(path)
    if path.stem != 'paper':  # it has most of the weights
        request.getfixturevalue('small_discriminator')
    if path.stem == 'voc2012':
        data = open_data([voc_root])
    if config.data.exclude:  # CamVid's names
        config = replace(config, data=replace(config.data, exclude=('0001TP_0',)))
    init = None
    if not config.model.preset:
        start = replace(tiny(config), model=replace(tiny(config).model, preset='light'))
        torch.manual_seed(0)
        init = tmp_path / 'start.safetensors'
        save_model(init, build(model_config(start, data.label_set)), {'trained': list(PARTS)})
    else:
        model_config(config, data.label_set)
    run = Run(tiny(config), data, tmp_path / 'out', init)
    train(run, Fabric(accelerator='cpu', devices=1, precision='32-true'), run.plan(), workers=0)
    trained = load_model(run.files.result)[1].trained
    if path.stem == 'voc2012':
        _check_voc2012(run.files.result)
    if {'adapt', 'attend'} <= set(config.stages):  # others train a part alone
        assert set(trained) == set(PARTS), 'a model that the node takes'
