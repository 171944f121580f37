# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped loads, and all of its stages start, each on those before."""

from dataclasses import replace
from pathlib import Path

import pytest
from lightning.fabric import Fabric

from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.trainer import Trainer, model_config

RECIPES = sorted((Path(__file__).parents[2] / 'config' / 'train').glob('*.yaml'))
TINY = {'derain': {'channels': 4, 'blocks': 1}, 'attention': {'channels': 4, 'blocks': 1},
        'segmentation': 'ddrnet23_slim', 'segmentation_options': {'width': 8}}


def tiny(config):
    """Make the recipe small: its networks, crops and runs, not what it does."""
    stages = {}
    for name, stage in config.stages.items():
        # the discriminator needs features of 12x12 at stride 8
        side = 96 if name.startswith('adapt') and stage.adversarial_weight else 32
        stages[name] = replace(stage, optimizer_steps=1, batch=2, samples=replace(
            stage.samples, crop=(side, side), renders=2, drive_share=0))
    return replace(config, stages=stages, model=replace(
        config.model, overrides={**config.model.overrides, **{
            key: {**config.model.overrides.get(key, {}), **value}
            if isinstance(value, dict) else value for key, value in TINY.items()}}))


def test_there_are_recipes():
    assert {path.stem for path in RECIPES} == {'paper', 'light', 'holdout', 'ablations'}


# recipes that start from another one's results, in one output folder
CONTINUES = {'ablations': 'light'}


@pytest.fixture(scope='module')
def train_all_stages(scenes, tmp_path_factory):
    """Function that runs every stage of a recipe and of those before it, once each."""
    folders = {}
    done = set()

    def train(path):
        """Train in the folder of the first recipe of the row; returns it."""
        before = CONTINUES.get(path.stem)
        out = (train(path.with_stem(before)) if before else
               folders.setdefault(path.stem, tmp_path_factory.mktemp(path.stem)))
        if path.stem in done:
            return out
        config = TrainConfig.load(path)
        assert config.name == path.stem
        model_config(config, scenes.label_set)
        config = tiny(config)
        data = scenes
        for stage in config.stages:
            trainer = Trainer(Fabric(accelerator='cpu', devices=1, precision='32-true'), config,
                              stage, data, None, out, workers=0)
            trainer.fit()
            assert trainer.optimizer_step == 1 and trainer.model_path.is_file()
        done.add(path.stem)
        return out
    return train


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_all_stages_start(path, train_all_stages):
    train_all_stages(path)
