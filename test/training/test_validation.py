# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Validation measures what the stage trains and changes nothing."""

import pytest
import torch
from lightning.fabric import Fabric

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.network import build
from ubcn_ros.training.stages import STAGE_CLASSES
from ubcn_ros.training.trainer import model_config
from ubcn_ros.training.validation import validate


@pytest.fixture
def measured(recipe, scenes):
    def run(kind):
        config = recipe(kind, {'iterations': 2})
        stage = STAGE_CLASSES[kind](build(model_config(config, CAMVID)), config.stages[kind], None)
        before = {k: v.clone() for k, v in stage.state_dict().items()}
        pictures = {}
        scores = validate(Fabric(accelerator='cpu', devices=1), stage, scenes, 3,
                          pictures.__setitem__)
        assert all(torch.equal(v, before[k]) for k, v in stage.state_dict().items())
        assert stage.training
        return scores, pictures
    return run


def test_derain_is_measured_by_its_image(measured):
    scores, pictures = measured('derain')
    # an untrained IDM is the identity
    assert scores['psnr_0_T1'] == float('inf') and 10 < scores['psnr_150_T1'] < 40
    assert len(scores) == 2
    assert {k: tuple(v.shape) for k, v in pictures.items()} == {
        'rain_0': (3, 64, 240), 'rain_150': (3, 64, 240)}


def test_adapt_is_measured_by_its_labels(measured):
    scores, _ = measured('adapt')
    assert set(scores) == {'miou_0_T1', 'miou_150_T1'}
    assert all(0 <= v <= 100 for v in scores.values())


def test_the_loop_is_measured_at_every_step(measured):
    scores, pictures = measured('attend')
    assert set(scores) == {f'{kind}_{rate}_T{t}' for kind in ('psnr', 'miou')
                           for rate in (0, 150) for t in (1, 2)}
    picture = pictures['rain_0']
    assert picture.shape == (3, 128, 320) and 0 <= picture.min() and picture.max() <= 1
