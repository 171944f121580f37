# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every recipe that is shipped loads, and all of its stages run, each on those before."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.fabric import Fabric

from ubcn_ros.network import build
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.runtime.weights import PARTS
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.run import Run

RECIPES = sorted((Path(__file__).parents[2] / 'config' / 'train').glob('*.yaml'))
TINY = {'derain': {'channels': 4, 'blocks': 1}, 'attention': {'channels': 4, 'blocks': 1},
        'segmentation': 'ddrnet23_slim', 'segmentation_options': {'width': 8}}


def tiny(config):
    """Make the recipe small: its networks, crops and runs, not what it does."""
    stages = {}
    for name, stage in config.stages.items():
        # the discriminator needs features of 12x12 at stride 8
        side = 96 if name == 'adapt' and stage.adversarial_weight else 32
        stages[name] = replace(stage, optimizer_steps=1, batch=2, samples=replace(
            stage.samples, crop=(side, side), renders=2, drive_share=0,
            short_sides=(32, 48) if any(stage.samples.short_sides) else (0, 0)))
    return replace(config, stages=stages, data=replace(config.data, validation_images=1),
                   model=replace(config.model, overrides={**config.model.overrides, **{
                       key: {**config.model.overrides.get(key, {}), **value}
                       if isinstance(value, dict) else value for key, value in TINY.items()}}))


def test_there_are_recipes():
    assert {path.stem for path in RECIPES} == {'paper', 'light', 'holdout', 'fine-tune', 'gpu'}


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_all_stages_run(path, data, tmp_path):
    config = TrainConfig.load(path)
    assert config.name == path.stem
    init = None
    if not config.model.preset:
        start = replace(tiny(config), model=replace(tiny(config).model, preset='light'))
        torch.manual_seed(0)
        init = tmp_path / 'start.safetensors'
        save_model(init, build(model_config(start, data.label_set)), {'trained': list(PARTS)})
    else:
        model_config(config, data.label_set)
    run = Run(tiny(config), data, tmp_path / 'out', init)
    run.train(Fabric(accelerator='cpu', devices=1, precision='32-true'), run.plan(), workers=0)
    trained = load_model(run.files.result)[1].trained
    assert set(trained) == set(PARTS), 'a model that the node takes'
