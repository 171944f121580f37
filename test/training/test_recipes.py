# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped loads, and all of its stages start, each on those before."""

from dataclasses import replace
from pathlib import Path

import pytest
from lightning.fabric import Fabric

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.labels import get_label_set
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.trainer import Trainer, model_config

RECIPES = sorted((Path(__file__).parents[2] / 'config' / 'train').glob('*.yaml'))
TINY = {'derain': {'channels': 4, 'blocks': 1}, 'attention': {'channels': 4, 'blocks': 1},
        'segmentation': 'ddrnet23_slim', 'segmentation_options': {'width': 4}}


def tiny(config):
    """Make the recipe small: its networks, crops and runs, not what it does."""
    stages = {}
    for name, stage in config.stages.items():
        # the discriminator needs features of 12x12 at stride 8
        side = 96 if name.startswith('adapt') and stage.adversarial_weight else 32
        stages[name] = replace(stage, steps=1, batch=2, samples=replace(
            stage.samples, crop=(side, side), renders=2, drives=0))
    return replace(config, stages=stages, model=replace(
        config.model, overrides={**config.model.overrides, **{
            key: {**config.model.overrides.get(key, {}), **value}
            if isinstance(value, dict) else value for key, value in TINY.items()}}))


def test_there_are_recipes():
    assert {'paper', 'light-camvid'} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_all_stages_start(path, scenes, tmp_path):
    config = TrainConfig.load(path)
    assert config.name == path.stem
    model_config(config)
    config = tiny(config)
    data = SceneList('tiny', get_label_set(config.model.label_set), scenes.scenes)
    for stage in config.stages:
        trainer = Trainer(Fabric(accelerator='cpu', devices=1, precision='32-true'), config,
                          stage, data, None, tmp_path, workers=0)
        trainer.fit()
        assert trainer.step == 1 and trainer.model_path.is_file()


def test_the_paper_recipe_has_the_paper_schedule():
    config = TrainConfig.load(RECIPES[[path.stem for path in RECIPES].index('paper')])
    images = 2975
    epochs = {name: stage.steps * stage.batch / images for name, stage in config.stages.items()}
    assert epochs == pytest.approx({'derain': 100, 'adapt': 100, 'attend': 100, 'joint': 50},
                                   rel=1e-3)
    rates = {name: (s.optimizer.kind, s.optimizer.rate) for name, s in config.stages.items()}
    assert rates == {'derain': ('adam', 1e-2), 'adapt': ('sgd', 1e-2), 'attend': ('adam', 1e-2),
                     'joint': ('sgd', 1e-4)}
    adapt, joint = config.stages['adapt'], config.stages['joint']
    assert adapt.discriminator.rate == 1e-3 and adapt.adversarial_weight == 1e-3
    assert (joint.optimizer.momentum, joint.optimizer.schedule) == (0.9, 'poly')
    derain = config.stages['derain'].optimizer
    assert (derain.schedule, derain.gamma, derain.every) == ('step', 0.2, 0.3)
