# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The record in a model file: plain, the same for the same run, with every licence once."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ubcn_ros.data.scenes import Scene, SceneList
from ubcn_ros.training.config import StageConfig, TrainConfig
from ubcn_ros.training.record import (
    data_record,
    joined_license,
    model_record,
    scenes_record,
    source_commit,
)


def record(**changes):
    return model_record(**{
        'command': 'ubcn train light', 'stage': 'adapt',
        'config': TrainConfig('light', seed=7, stages={'adapt': StageConfig(iterations=3)}),
        'trained': {'segmentation', 'derain'}, 'data': [{'name': 'own', 'counts': {'train': 3}}],
        'license': 'MIT', 'init': {'name': 'start', 'sha256': 'ab' * 32},
        'precision': 'bf16-mixed', 'estimates_rain': True, 'optimizer_steps': 5,
        'trained_short_side': 360, 'trained_derain_side': 432, 'trained_focal_length': 1.5,
        'validation': {}, **changes})


def test_a_record_is_plain_and_always_the_same():
    said = record(validation={'miou': np.float32(50), 'psnr': float('inf'),
                              'loss': torch.tensor(0.5)})
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said == record(validation={'miou': 50, 'psnr': -float('inf'), 'loss': 0.5})
    assert said['validation'] == {'miou': 50.0, 'psnr': None, 'loss': 0.5}
    assert said['trained'] == ['derain', 'segmentation']
    assert said['recipe']['name'] == 'light' and said['seed'] == 7
    assert said['init'] == {'name': 'start', 'sha256': 'ab' * 32}
    assert set(said['versions']) == {'ubcn_ros', 'torch', 'numpy', 'python'}
    assert all(said['versions'].values())
    assert said['commit'] == source_commit()
    assert record(init=None)['init'] is None


@pytest.mark.parametrize('stage, expected', [('derain', None), ('adapt', None), ('attend', 3),
                                             ('joint', 3)])
def test_steps_of_the_loop_are_said_of_stages_that_unroll_it(stage, expected):
    config = TrainConfig('light', stages={stage: StageConfig(iterations=3)})
    assert record(stage=stage, config=config)['iterations'] == expected


@pytest.mark.parametrize('licenses, expected', [
    ([], ''),
    (['', None, ''], ''),
    ([None, 'MIT'], 'MIT'),
    (['research use only'], 'research use only'),
    (['A (x, y)', 'B', 'A (x, y)', '', 'B'], 'A (x, y); B'),
    (['A; B', 'B', 'C'], 'A; B; C'),
    ([None, ' MIT '], 'MIT')])
def test_licences_are_joined_each_once(licenses, expected):
    assert joined_license(licenses) == expected


def test_a_data_set_is_told_by_counts_and_hash_not_by_place():
    listings = {'train': range(5), 'val': range(2)}
    data_set = SimpleNamespace(
        name='own', root=Path('/home/me/own'), format='yaml', license='MIT',
        splits=('train', 'val'), listing=lambda split: SimpleNamespace(scenes=listings[split]))
    assert data_record(data_set, 'cd', {'3': 'road'}, 4) == {
        'name': 'own', 'format': 'yaml', 'license': 'MIT', 'counts': {'train': 4, 'val': 2},
        'sha256': 'cd', 'labels': {'3': 'road'}}


def test_scenes_may_have_names_that_are_not_utf8():
    said = {scenes_record(SceneList('x', None, (Scene(os.fsdecode(name), Path('x'), None),)))
            for name in (b'caf\xe9', b'caf\xe8', 'caf\u00e9'.encode())}
    assert len(said) == 3


def test_an_installed_package_does_not_take_the_commit_of_what_it_lies_in(monkeypatch, tmp_path):
    module = tmp_path / 'site-packages' / 'ubcn_ros' / 'training' / 'record.py'
    monkeypatch.setattr('ubcn_ros.training.record.__file__', str(module))
    (tmp_path / '.git').mkdir()
    assert source_commit.__wrapped__() == 'unknown'
