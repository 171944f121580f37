# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is said of time and memory follows from what is measured, and measuring leaves nothing."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ubcn_ros.data.scenes import Scene
from ubcn_ros.training.batches import rendered_share, useful_workers
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.estimate import (
    StageEstimate,
    duration,
    estimate,
    plan_table,
    step_seconds,
    typical_mean,
)
from ubcn_ros.training.sample_config import SampleConfig

ROOT = Path(__file__).parents[2]
DERAIN = StageEstimate('derain', 100, 8, (288, 384), 30, 2.0, 10.0, 2048)
ADAPT = StageEstimate('adapt', 50, 4, (256, 352), 1000, 4.0, 20.0, 3072)


def test_a_stage_takes_its_steps_and_its_validations():
    assert DERAIN.seconds == 100 * 2 + 4 * 10, 'after 30, 60, 90 and 100 steps'
    assert ADAPT.seconds == 50 * 4 + 20
    assert replace(DERAIN, steps=90).seconds == 90 * 2 + 3 * 10
    assert replace(DERAIN, first=45).seconds == 55 * 2 + 3 * 10
    assert replace(DERAIN, first=100).seconds == 0


@pytest.mark.parametrize(('preparation', 'workers', 'expected'), [
    (2.0, 0, 5.0),   # one after the other
    (2.0, 1, 4.0),   # 3 s on both of two cores and 2 s on one are 8 s of cores
    (0.1, 1, 3.05),
    (20.0, 1, 20.0),
    (20.0, 2, 13.0)])
def test_steps_and_rendering_share_the_cores(preparation, workers, expected):
    assert step_seconds(3.0, preparation, workers, threads=2, cores=2) == pytest.approx(expected)


def test_a_gpu_waits_for_rendering_alone():
    assert step_seconds(0.05, 0.4, 8, threads=1, cores=16) == 0.05
    assert step_seconds(0.05, 0.4, 4, threads=1, cores=16) == pytest.approx(0.1)


def test_in_a_long_run_every_frame_is_rendered_once():
    samples = SampleConfig(renders=64, reuse=4)
    assert rendered_share(samples, 8, 10_000) == pytest.approx(1 / 4, rel=0.05)
    assert rendered_share(samples, 8, 10_000, workers=4) == pytest.approx(1 / 4, rel=0.05)
    assert rendered_share(replace(samples, reuse=1), 8, 10_000) == 1


def test_a_short_run_renders_every_sample():
    assert rendered_share(SampleConfig(renders=64, reuse=4), 8, 8) == 1
    assert rendered_share(SampleConfig(renders=64, reuse=4), 8, 16) == 0.5


def test_processes_that_do_not_meet_their_frames_again_render_more():
    samples = SampleConfig(renders=64, reuse=4)
    assert rendered_share(samples, 6, 10_000, workers=2) > 0.3
    assert rendered_share(samples, 8, 10_000, workers=2, world=4) < 0.3


@pytest.mark.parametrize('batch, most, useful', [(8, 14, 8), (8, 2, 2), (8, 1, 1), (8, 0, 0),
                                                 (16, 14, 4)])
def test_workers_that_would_render_the_frames_of_others_are_left_out(batch, most, useful):
    samples = SampleConfig(renders=64, reuse=4)
    assert useful_workers(samples, batch, most) == useful
    assert useful_workers(replace(samples, reuse=1), batch, most) == most
    assert useful_workers(replace(samples, on_device=True), batch, most) == most


@pytest.mark.parametrize('name', ['paper', 'baselines', 'fine-tune', 'light-small', 'voc2012'])
def test_two_workers_render_no_frame_twice_in_the_recipes(name):
    for stage in TrainConfig.load(ROOT / f'config/train/{name}.yaml').stages.values():
        share = rendered_share(stage.samples, stage.batch, 1000, 2)
        assert share == pytest.approx(1 / stage.samples.reuse, rel=0.05), stage


def test_steps_of_several_lengths_are_averaged_without_the_slowest():
    assert typical_mean([1.0, 3.0, 3.0, 1.0, 3.0, 9.0]) == pytest.approx(11 / 5)
    assert typical_mean([4.0]) == 4.0


@pytest.mark.parametrize(('seconds', 'text'), [
    (0, '0 s'), (12.4, '12 s'), (59.6, '1 min'), (720, '12 min'), (3599, '1 h 0 min'),
    (4320, '1 h 12 min'), (100_000, '27 h 47 min'), (300_000, '3 d 11 h')])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_the_plan_says_every_stage_and_the_whole():
    lines = plan_table([DERAIN, ADAPT], 'random weights').splitlines()
    assert [line.split()[0] for line in lines[2:]] == ['derain', 'adapt', 'all']
    for text in ('random weights', '100', '384x288', '800', '2.0 GiB', '4 min'):
        assert text in lines[2]
    assert 'best of derain' in lines[3] and '3.0 GiB' in lines[3]
    for text in ('150', '1000', '3.0 GiB', '8 min'):
        assert text in lines[4]
    later = plan_table([replace(DERAIN, seconds_ahead=80.0), ADAPT], '').splitlines()
    assert '1 min  5 min' in later[2] and '1 min  9 min' in later[4]
    assert lines[3] == later[3]
    resumed = plan_table([replace(DERAIN, first=45), ADAPT], 'random weights').splitlines()
    assert resumed[2].split()[:8] == ['derain', 'goes', 'on', 'at', 'step', '45', '55', '8']
    assert '440' in resumed[2] and 'best of derain' in resumed[3] and '105' in resumed[4]


@pytest.fixture
def trainer(recipe, scenes, make_trainer):
    def made(stage='derain', changes=None, validation=scenes, training=scenes):
        return make_trainer(recipe(stage, changes), stage, training=training,
                            validation=validation)
    return made


def test_measuring_leaves_no_file_and_no_random_state(trainer, tmp_path):
    before = set(tmp_path.iterdir())
    made = trainer()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    found = estimate(made, 0.05)
    assert torch.rand(1) == expected
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {'derain.yaml'}
    assert (found.stage, found.steps, found.batch, found.crop) == ('derain', 6, 2, (32, 48))
    assert found.peak_mib > 50 and found.seconds_per_validation > 0


def test_without_validation_it_takes_no_time(trainer):
    assert estimate(trainer(validation=None), 0.05).seconds_per_validation == 0


@pytest.mark.parametrize('stage', ['attend', 'joint'])
def test_stages_of_the_loop_are_measured(trainer, stage):
    assert estimate(trainer(stage, {'iterations': 2}), 0.05).seconds > 0


def test_what_takes_long_is_in_the_estimate(trainer, scenes):
    """Slow steps, rendering and validation; the commit that added this has real figures."""
    class Slow(Scene):
        def image(self):
            time.sleep(0.05)
            return super().image()

    def slow(count):
        return replace(scenes, scenes=tuple(
            Slow(scene.name, scene.image_path, scene.label_path, scene.ids)
            for scene in scenes.scenes[:count]))
    changes = {'batch': 1, 'samples': {'reuse': 1}}
    made = trainer('derain', changes, slow(3), slow(5))
    steps = []
    made.stage.register_forward_pre_hook(lambda *_: time.sleep(0.1) or steps.append(1))
    found = estimate(made, 0.05)
    assert len(steps) == 3, 'two of warm-up, and one that says how long all take'
    # a sleep is never shorter, however busy the machine is; a file is read once and kept: of four
    # new frames two were read before
    assert 0.12 < found.seconds_per_step < 5
    assert 0.1 < found.optimizer_seconds < found.seconds_per_step
    # one image, dry and in rain
    assert 0.1 < found.seconds_per_validation < 5


def test_samples_on_the_device_are_timed_by_the_batch(trainer, few_pictures):
    changes = {'samples': {'on_device': True}}
    found = estimate(trainer(changes=changes, validation=None), 0.05)
    assert 0 < found.seconds_per_step < 5 and found.seconds_ahead > 0
