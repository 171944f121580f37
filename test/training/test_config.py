# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe may say, and what is said of a wrong one."""

import json
from dataclasses import replace

import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import (
    ModelConfig,
    StageConfig,
    TrainConfig,
    in_optimizer_steps,
    with_length,
)
from ubcn_ros.training.sample_config import SampleConfig


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        path = tmp_path / 'recipe.yaml'
        path.write_text(text)
        return TrainConfig.load(path)
    return loaded


def test_values_and_defaults(load):
    config = load('name: a\nseed: 3\n'
                  'stages:\n'
                  '  adapt:\n  derain: {optimizer_steps: 7, samples: {crop: [32, 64]}}')
    assert config.seed == 3 and config.stages['derain'].optimizer_steps == 7
    assert config.stages['derain'].samples.crop == (32, 64)
    assert config.stages['adapt'] == StageConfig()
    assert list(config.stages) == ['derain', 'adapt'], 'in their order'
    json.dumps(config.to_dict())


def test_numbers_that_yaml_reads_as_text(load):
    stage = load('name: a\nstages:\n  derain: {optimizer_steps: 1e3, optimizer: {lr: 1e-3}, '
                 'grad_clip_norm: 5}').stages['derain']
    assert stage.optimizer.lr == 1e-3 and isinstance(stage.optimizer.lr, float)
    assert stage.optimizer_steps == 1000 and isinstance(stage.optimizer_steps, int)
    assert isinstance(stage.grad_clip_norm, float)


@pytest.mark.parametrize(('text', 'named'), [
    ('name: a\nstagse: {}', ['stagse', 'stages']),
    ('name: a\nstages: {dehaze: {}}', ['dehaze', 'derain, adapt, attend, joint']),
    ('name: a\nstages: {derain: {step: 3}}', ['stages.derain', 'step', 'optimizer_steps']),
    ('name: a\nstages: {derain: {samples: {crops: 3}}}', ['samples', 'crops', 'crop']),
    ('name: a\nstages: {derain: {samples: 3}}', ['samples', '3']),
    ('name: a\nstages: {derain: {batch: many}}', ['stages.derain.batch', 'many']),
    ('name: a\nstages: {derain: {batch: 1.5}}', ['stages.derain.batch', '1.5']),
    ('name: a\nstages: {derain: {samples: {crop: 192}}}', ['crop', '192']),
    ('name: a\nstages: {derain: {freeze_norm: 3}}', ['freeze_norm', '3']),
    ('name: a\nstages: {derain: {optimizer: {kind: lion}}}', ['lion', 'adam, adamw, sgd']),
    ('name: a\nstages: {derain: {optimizer: {schedule: up}}}', ['up', 'constant, cosine']),
    ('name: a\nstages: [derain]', ['stages', 'derain']),
    ('seed: 3', ['name']),
    ('[1, 2]', ['mapping']),
    ('a: [', ['YAML']),
    ('name: 3', ['name', '3']),
    *((f'name: "{name}"', ['name', 'without /']) for name in (
        'a/b', '..', '.a', '/a', r'a\\b', r'a\nb', r'a\0b')),
    *((f'name: a\nstages: {{adapt: {{discriminator: {{{key}: {value}}}}}}}',
       ['discriminator', key, 'expected 0 to']) for key, value in (
           ('lr', '1e30'), ('weight_decay', '1e38'), ('gamma', 2))),
    ('name: a\nname: b', ['YAML', "'name' is there twice"]),
    ('name: a\nstages: {derain: {}, derain: {batch: 3}}', ["'derain' is there twice"]),
    ('name: a\nstages: {derain: {batch: 1, batch: 3}}', ["'batch' is there twice"]),
    ('name: 2026-99-99', ['YAML']),
    ('name: a\nseed: -1', ['seed', '-1', '0 to']),
    ('name: a\ndata: {exclude: [3]}', ['data', 'exclude', '3']),
    ('name: a\ndata: {validation_rain: drizzle}', ['drizzle', 'rendered, painted']),
    ('name: a\ndata: {validation_images: -1}', ['validation_images', '0 or more']),
    ('name: a\nstages: {adapt: {samples: {degradation: fog, rain_probability: 0}}}',
     ['samples', "'fog'", 'rain, pepper, haze, gaussian']),
    ('name: a\nstages: {adapt: {samples: {degradation: haze, degradation_level: 30, '
     'rain_probability: 0}}}', ['haze is 30', '0..1']),
    ('name: a\nstages: {adapt: {samples: {degradation: haze}}}',
     ['rain_probability is 1', 'set rain_probability to 0']),
    ('name: a\nstages: {adapt: {samples: {degradation_level: 30}}}', ['set degradation']),
    ('name: a\nstages: {adapt: {samples: {degradation: haze, rain_probability: 0}}}',
     ['degradation is haze', 'set on_device to true']),
    ('name: a\nstages: {derain: {batch: 1.0e+300}}', ['stages.derain', 'batch']),
    ('name: a\ndata: {short_side: 8}', ['data', 'short_side is 8', '32 to 8192']),
    ('name: a\nstages: {derain: {batch: 0}}', ['stages.derain', 'batch', '1 to 1000000000']),
    ('name: a\nstages: {derain: {optimizer_steps: -3}}',
     ['stages.derain', 'optimizer_steps', '-3']),
    ('name: a\nstages: {derain: {save_every: 0}}', ['save_every is 0']),
    ('name: a\nstages: {derain: {grad_clip_norm: .nan}}', ['grad_clip_norm is nan']),
    ('name: a\nstages: {derain: {grad_clip_norm: .inf}}', ['grad_clip_norm is inf']),
    ('name: a\nstages: {derain-more: {}}', ['derain-more', 'derain, adapt, attend, joint']),
    ('name: a\nstages: {derain: {start: {}}}', ['unknown start']),
    ('name: a\nstages: {derain: {epochs: -1}}', ['epochs is -1', 'expected 0 to']),
    ('name: a\nstages: {derain: {epochs: .nan}}', ['epochs is nan', 'expected 0 to']),
    ('name: a\nstages: {derain: {optimizer_steps: .nan}}', ['derain.optimizer_steps is nan']),
    ('name: a\nstages: {derain: {}, adapt: {epochs: 0}}',
     ['stages.adapt.epochs is 0', 'leave it out for optimizer_steps']),
    ('name: a\nstages: {joint: {epochs: 9}}\nvariants: {b: {stages: {joint: {epochs: 0e3}}}}',
     ['variants.b', 'stages.joint.epochs is 0']),
    ('name: a\nstages: {derain: {epochs: 3, optimizer_steps: 9}}',
     ['stages.derain', 'both optimizer_steps and epochs', 'leave one out']),
    ('name: a\nmodel: {initialization: he}', ['initialization', 'he', 'default, xavier']),
    ('name: a\nstages: {derain: {samples: {crop: [8, 8]}}}', ['samples', 'crop is 8', '32']),
    ('name: a\nstages: {derain: {samples: {scale: [2, 1]}}}', ['scale', 'smaller']),
    ('name: a\nstages: {derain: {samples: {short_sides: [720, 360]}}}',
     ['short_sides', 'smaller']),
    ('name: a\nstages: {derain: {samples: {short_sides: [0, 360]}}}', ['short_sides', '32']),
    ('name: a\nstages: {derain: {samples: {color_jitter: 1.5}}}',
     ['color_jitter is 1.5', '0 to 1']),
    *((f'name: a\nstages: {{adapt: {{samples: {{{key}: 0.5}}}}}}', [f'{key} is 0.5', 'on_device'])
      for key in ('misty_rain_probability', 'balanced_crop_probability', 'class_mix_probability',
                  'photometric_probability', 'rotation_deg')),
    ('name: a\nstages: {adapt: {samples: {on_device: true, rotation_deg: 60}}}',
     ['rotation_deg is 60', '0 to 45']),
    ('name: a\nstages: {derain: {samples: {on_device: true, painted_rain_probability: 0.7, '
     'misty_rain_probability: 0.4}}}', ['painted_rain_probability is 0.7', '0.4', 'more than 1']),
    ('name: a\nstages: {derain: {optimizer: {lr: -1}}}', ['optimizer', 'lr is -1']),
    ('name: a\nstages: {derain: {optimizer: {every: 0}}}', ['every is 0']),
    ('name: a\n3: b\nx: c', ['unknown 3, x']),
    ('name: a\nstages: {joint: {lovasz_weight: 0.5}}',
     ['stages.joint.lovasz_weight is 0.5', 'does nothing in joint', 'adapt can have it']),
    ('name: a\nstages: {joint: {one_step: true}}', ['one_step is True', 'attend can']),
    ('name: a\nstages: {adapt: {iterations: 2}}', ['iterations is 2', 'attend, joint can']),
    ('name: a\nstages: {derain: {discriminator: {lr: 1}}}', ['discriminator is given', 'adapt']),
    ('name: a\nstages: {adapt: {}}\nvariants: {b: {stages: {adapt: {psnr_weight: 1}}}}',
     ['variants.b: stages.adapt.psnr_weight is 1', 'derain, attend, joint can']),
    *((f'name: a\nvariants: {{{name}: {{}}}}', ['variants', value, 'text, in quotes'])
      for name, value in (('8', '8'), ('no', 'False'))),
])
def test_a_wrong_recipe_is_named(load, text, named):
    with pytest.raises(ValueError) as error:
        load(text)
    for word in named:
        assert word in str(error.value)


def test_a_default_that_a_stage_does_not_use_is_taken(load):
    config = load('name: a\nstages: {derain: {lovasz_weight: 0, iterations: 3, warm_start: true}}')
    assert config.stages['derain'] == StageConfig()


def test_a_variant_differs_in_what_it_says_alone(load):
    config = load('name: a\nmodel: {preset: light, overrides: {attention: {blocks: 3}}}\n'
                  'stages:\n  derain: {batch: 4, samples: &s {crop: [64, 64], reuse: 9}}\n'
                  '  adapt: {samples: *s}\n'
                  'variants:\n  same:\n  other: {stages: {derain: {samples: {crop: [32, 96]}}}, '
                  'model: {overrides: {attention: {channels: 8}}}, data: {exclude: [x]}}')
    assert config.variant('same') == replace(config, name='a-same', variants={})
    other = config.variant('other')
    assert other.name == 'a-other' and other.data.exclude == ('x',)
    assert other.model.overrides == {'attention': {'blocks': 3, 'channels': 8}}
    assert other.stages['derain'] == replace(config.stages['derain'], samples=replace(
        config.stages['derain'].samples, crop=(32, 96)))
    assert other.stages['adapt'] == config.stages['adapt'] and 'variants' not in other.to_dict()


def test_a_variant_with_a_baseline_has_nothing_of_idm(load):
    config = load('name: a\nmodel: {preset: light, overrides: {derain: {blocks: 1}, veil: null}}\n'
                  'variants: {b: {model: {overrides: {derain: {network: ddn}}}}}').variant('b')
    assert config.model.overrides == {'derain': {'network': 'ddn'}, 'veil': None}
    assert model_config(config, CAMVID).derain.network == 'ddn'


@pytest.mark.parametrize(('variant', 'named'), [
    ('{stages: {adapt: {batch: 3}}}', ["no stage 'adapt'", 'derain']),
    ('{stages: {derain: {batches: 3}}}', ['variants.b', 'unknown batches']),
    ('{stages: }', ['variants.b: stages is None', 'expected a mapping']),
    ('{stages: {derain: }}', ['variants.b: stages.derain is empty', 'leave it out']),
    ('{stages: {derain: {batch: 0}}}', ['variants.b: stages.derain', 'batch is 0']),
    ('{name: c}', ['variants.b', 'without a name']), ('3', ['variants.b', '3'])])
def test_a_wrong_variant_is_named(load, variant, named):
    with pytest.raises(ValueError) as error:
        load('name: a\nstages: {derain: {}}\nvariants: {b: ' + variant + '}')
    for word in named:
        assert word in str(error.value)


def test_no_such_variant(load):
    with pytest.raises(ValueError, match="no variant 'c': it has b"):
        load('name: a\nvariants: {b: {}}').variant('c')


@pytest.mark.parametrize(('steps', 'expected'), [(7, 7), (0.5, 500), (0.3334, 333), (1e-6, 1)])
def test_steps_or_a_share_of_them(load, steps, expected):
    config = load('name: a\nstages: {derain: {optimizer_steps: 1000}}')
    assert with_length(config, steps).stages['derain'].optimizer_steps == expected


@pytest.mark.parametrize(('epochs', 'images', 'expected'), [
    (100, 2975, 12396), (100, 367, 1529), (0.5, 24, 1), (1e-3, 5, 1)])
def test_epochs_become_optimizer_steps(load, epochs, images, expected):
    config = load(f'name: a\nstages: {{derain: {{epochs: {epochs}, batch: 24}}, '
                  'adapt: {optimizer_steps: 7}}')
    counted = in_optimizer_steps(config, {'derain': images, 'adapt': 1}.get)
    assert [stage.optimizer_steps for stage in counted.stages.values()] == [expected, 7]
    assert all(stage.epochs == 0 for stage in counted.stages.values())
    assert in_optimizer_steps(counted, {}.get) == counted
    both = {'optimizer_steps', 'epochs'}
    assert [both & {*stage} for stage in config.to_dict()['stages'].values()] == [
        {'epochs'}, {'optimizer_steps'}]


@pytest.mark.parametrize(('length', 'epochs', 'steps'), [
    (0.5, 50, 500), (7, 0, 7), (2.0, 200, 2000)])
def test_a_length_in_epochs_changes_too(load, length, epochs, steps):
    config = load('name: a\nstages: {derain: {epochs: 100}, adapt: {}}')
    stages = with_length(config, length).stages
    assert stages['derain'].epochs == epochs and stages['adapt'].optimizer_steps == steps
    assert epochs or stages['derain'].optimizer_steps == steps


@pytest.mark.parametrize(('recipe', 'variant'), [
    ('epochs: 3', 'optimizer_steps: 9'), ('optimizer_steps: 9', 'epochs: 3')])
def test_a_variant_may_measure_length_otherwise(load, recipe, variant):
    def stages(config):
        stage = config.stages['derain']
        return f'epochs: {stage.epochs:g}' if stage.epochs else (
            f'optimizer_steps: {stage.optimizer_steps}')
    config = load(f'name: a\nstages: {{derain: {{{recipe}}}}}\n'
                  f'variants: {{b: {{stages: {{derain: {{{variant}}}}}}}}}')
    assert (stages(config), stages(config.variant('b'))) == (recipe, variant)


@pytest.mark.parametrize(('settings', 'side', 'scales'), [
    ({}, 360, (1, 1)), ({'scale': (0.5, 3)}, 360, (0.5, 3)),
    ({'short_sides': (360, 1440)}, 720, (0.5, 2)), ({'short_sides': (360, 1440)}, 360, (1, 2)),
    ({'short_sides': (360, 1440)}, 1440, (0.25, 1)), ({'short_sides': (360, 1440)}, 90, (2, 2))])
def test_no_frame_is_enlarged_more_than_twice_to_a_short_side(settings, side, scales):
    assert SampleConfig(**settings).scales_of(side) == scales


@pytest.mark.parametrize(('preset', 'veil', 'channels'), [
    ('light', None, None), ('light', {'channels': 8}, 8), ('paper', {'channels': 8}, 8)])
def test_a_veil_is_left_out_changed_or_added(preset, veil, channels):
    config = model_config(TrainConfig('a', ModelConfig(preset, {'veil': veil})), CAMVID)
    assert (config.veil and config.veil.channels) == channels


@pytest.mark.parametrize(('overrides', 'named'), [
    ({'derain': None}, ['overrides.derain', 'None']),
    ({'veil': 3}, ['overrides.veil', '3']),
    ({'veil': {'colour': 3}}, ['colour']),
    ({'derain': 3}, ['overrides.derain', '3']),
    ({'label_set': {'a': 1}}, ['unknown label_set']),
    ({'derain': {'channels': 'many'}}, ['overrides.derain.channels', 'many']),
    ({'derain': {'channels': -4}}, ['channels is -4']),
    ({'derain': {'dilations': []}}, ['dilations']),
    ({'attention': {'form': 'knot'}}, ['form', 'knot', 'trunk']),
    ({'attention': {'colour': 3}}, ['colour']),
    ({'segmentation_options': {'width': 'wide'}}, ['wide']),
    ({'segmentation_options': {'colour': 3}}, ['colour'])])
def test_a_network_that_cannot_be_built_is_named(overrides, named):
    from ubcn_ros.training.architecture import built
    with pytest.raises(ValueError) as error:
        built(TrainConfig('a', ModelConfig('light', overrides)), CAMVID)
    for word in named:
        assert word in str(error.value)
