# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark train`: a row a stage, nothing left behind, and what is wrong."""

import json
import shutil

import pytest
import torch
import yaml
from camvid_folder import write_scenes
from click.testing import CliRunner

from ubcn_ros.benchmark.training import measure
from ubcn_ros.cli.benchmark_train import train
from ubcn_ros.training.config import STAGES, STAGES_WITH

MODEL = {'preset': 'light', 'overrides': {
    'veil': None, 'derain': {'channels': 4, 'blocks': 1},
    'attention': {'channels': 4, 'blocks': 1, 'veil_channels': 0},
    'segmentation': 'small_segmentation:SmallSegmentation'}}


@pytest.fixture
def call(street_files, tmp_path):
    """Function that times a tiny recipe on a tiny data set."""
    def called(*arguments, **samples):
        stage = {'optimizer_steps': 3, 'batch': 2, 'iterations': 2, 'adversarial_weight': 0,
                 'samples': {'crop': [32, 32], 'renders': 2, 'reuse': 2, **samples}}
        recipe = {'name': 'tiny', 'model': MODEL,
                  'stages': {name: {key: value for key, value in stage.items()
                                    if name in STAGES_WITH.get(key, STAGES)} for name in STAGES}}
        (tmp_path / 'recipe.yaml').write_text(yaml.safe_dump(recipe))
        return CliRunner().invoke(train, [
            str(tmp_path / 'recipe.yaml'), '--data', str(street_files), '--accelerator', 'cpu',
            '--precision', '32-true', '--threads', '1', '--steps', '2', '--json',
            str(tmp_path / 'rows.json'), *arguments])
    return called


@pytest.fixture
def street_files(tmp_path):
    return write_scenes(tmp_path / 'data', 'train', 'a', 'b')


@pytest.mark.parametrize(('on_device', 'workers', 'stages'), [
    (True, 0, ['derain', 'adapt', 'attend', 'joint']), (False, 0, ['derain']),
    (False, 1, ['derain'])])
def test_a_row_a_stage(call, tmp_path, monkeypatch, on_device, workers, stages):
    monkeypatch.chdir(tmp_path)
    one = ['--stage', 'derain'] if len(stages) == 1 else []
    result = call('--workers', str(workers), *one, on_device=on_device)
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [row['stage'] for row in rows] == stages
    for row in rows:
        assert row['samples_per_s'] == pytest.approx(2e3 / row['step_ms'])
        assert all(row[f'{part}_ms'] > 0 for part in ('sampling', 'forward', 'backward',
                                                      'optimizer'))
        assert row['on_device'] == on_device and row['peak_mib'] > 50
        assert row['stage'] in result.output
    assert '1 CPU thread, 32-true, 2 steps a stage' in result.output
    assert {path.name for path in tmp_path.iterdir()} == {'data', 'recipe.yaml', 'rows.json'}


def test_the_stages_before_one_that_does_not_fit_are_kept(call, tmp_path, monkeypatch):
    def measure_one(trainer, *arguments):
        if trainer.stage_name != 'derain':
            raise torch.OutOfMemoryError('Tried to allocate 80 GiB')
        return measure(trainer, *arguments)
    monkeypatch.setattr('ubcn_ros.benchmark.training.measure', measure_one)
    result = call('--workers', '0')
    assert result.exit_code == 1
    assert 'Tried to allocate 80 GiB' in result.output.splitlines()[-1]
    assert [row['stage'] for row in json.loads((tmp_path / 'rows.json').read_text())] == ['derain']


def test_data_that_lack_what_a_stage_needs_are_refused_before_the_first(call, street_files,
                                                                       tmp_path):
    shutil.rmtree(street_files / 'train' / 'labels')
    (street_files / 'train' / 'images').rename(street_files / 'images')
    (street_files / 'train').rmdir()
    (street_files / 'images').rename(street_files / 'train')
    result = call()
    assert result.exit_code == 1
    assert 'Error: the stage adapt needs labels' in result.output.splitlines()[-1]
    assert not (tmp_path / 'rows.json').exists()


def test_an_unknown_stage_names_those_of_the_recipe(call):
    result = call('--stage', 'final')
    assert result.exit_code == 1 and "no stage 'final': it has derain, adapt" in result.output
