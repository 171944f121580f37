# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe may say, and what is said of a wrong one."""

import json

import pytest

from ubcn_ros.training.config import StageConfig, TrainConfig


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        path = tmp_path / 'recipe.yaml'
        path.write_text(text)
        return TrainConfig.load(path)
    return loaded


def test_values_and_defaults(load):
    config = load('name: a\nseed: 3\n'
                  'stages: {derain: {steps: 7, samples: {crop: [32, 64]}}, adapt-clean: }')
    assert config.seed == 3 and config.stages['derain'].steps == 7
    assert config.stages['derain'].samples.crop == (32, 64)
    assert config.stages['adapt-clean'] == StageConfig()
    json.dumps(config.to_dict())


def test_numbers_that_yaml_reads_as_text(load):
    stage = load('name: a\nstages: {derain: {steps: 1e3, optimizer: {rate: 1e-3}, clip: 5}}'
                 ).stages['derain']
    assert stage.optimizer.rate == 1e-3 and isinstance(stage.optimizer.rate, float)
    assert stage.steps == 1000 and isinstance(stage.steps, int)
    assert isinstance(stage.clip, float)


@pytest.mark.parametrize(('text', 'named'), [
    ('name: a\nstagse: {}', ['stagse', 'stages']),
    ('name: a\nstages: {dehaze: {}}', ['dehaze', 'derain, adapt, attend, joint']),
    ('name: a\nstages: {derain: {step: 3}}', ['stages.derain', 'step', 'steps']),
    ('name: a\nstages: {derain: {samples: {crops: 3}}}', ['samples', 'crops', 'crop']),
    ('name: a\nstages: {derain: {samples: 3}}', ['samples', '3']),
    ('name: a\nstages: {derain: {steps: many}}', ['stages.derain.steps', 'many']),
    ('name: a\nstages: {derain: {steps: 1.5}}', ['stages.derain.steps', '1.5']),
    ('name: a\nstages: {derain: {samples: {crop: 192}}}', ['crop', '192']),
    ('name: a\nstages: {derain: {freeze_norm: 3}}', ['freeze_norm', '3']),
    ('name: a\nstages: {derain: {optimizer: {kind: lion}}}', ['lion', 'adam, adamw, sgd']),
    ('name: a\nstages: {derain: {optimizer: {schedule: up}}}', ['up', 'constant, cosine']),
    ('name: a\nstages: [derain]', ['stages', 'derain']),
    ('seed: 3', ['name']),
    ('[1, 2]', ['mapping']),
    ('a: [', ['YAML']),
])
def test_a_wrong_recipe_is_named(load, text, named):
    with pytest.raises(ValueError) as error:
        load(text)
    for word in named:
        assert word in str(error.value)
