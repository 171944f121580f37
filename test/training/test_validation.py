# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Validation measures what the stage trains and changes nothing."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric import Fabric

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.scenes import Group
from ubcn_ros.network import build
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import DataConfig
from ubcn_ros.training.stages import STAGE_CLASSES
from ubcn_ros.training.validation import validate

TWO = DataConfig(validation_images=2)


@pytest.fixture
def measured(recipe, scenes):
    def run(kind, groups=()):
        config = recipe(kind, {'iterations': 2})
        stage = STAGE_CLASSES[kind](build(model_config(config, CAMVID)), config.stages[kind], None)
        before = {k: v.clone() for k, v in stage.state_dict().items()}
        seen = []
        scores = validate(Fabric(accelerator='cpu', devices=1), stage,
                          replace(scenes, groups=groups), TWO,
                          lambda *frame: seen.append(frame))
        assert all(torch.equal(v, before[k]) for k, v in stage.state_dict().items())
        assert stage.training
        return scores, seen
    return run


def test_derain_is_measured_by_its_image(measured):
    scores, seen = measured('derain')
    # an untrained IDM is the identity
    assert scores['psnr_0_T1'] == float('inf') and 10 < scores['psnr_150_T1'] < 40
    assert len(scores) == 2
    assert [(rate, n, len(steps)) for rate, n, _, steps in seen] == [
        (0, 0, 1), (0, 1, 1), (150, 0, 1), (150, 1, 1)]


def test_a_training_shows_how_far_its_validation_is(recipe, scenes, make_trainer, capsys,
                                                    monkeypatch):
    config = recipe('derain', {'optimizer_steps': 1}, data={'validation_images': 2})
    for every in (5, 0):  # the first is never shown: it takes less
        monkeypatch.setattr('ubcn_ros.training.validation._SHOW_EVERY', every)
        make_trainer(config, 'derain', f'out-{every}', validation=scenes).fit()
        told = capsys.readouterr().err
        for text in ('derain, optimizer step 1: validation at 0 mm/hr: ', '1/2 [',
                     'derain, optimizer step 1: validation at 150 mm/hr: '):
            assert (text in told) is (every == 0), text


def test_an_image_is_measured_as_it_is_shown(recipe, scenes, monkeypatch):
    white = torch.full((3, 64, 80), 255, dtype=torch.uint8)
    monkeypatch.setattr('ubcn_ros.training.validation.validation_samples', lambda *_, **__: [
        {'clean': white, 'degraded': white, 'labels': torch.zeros(64, 80, dtype=torch.uint8)}])
    config = recipe('derain')
    stage = STAGE_CLASSES['derain'](build(model_config(config, CAMVID)), config.stages['derain'],
                                    None)
    torch.nn.init.constant_(stage.network.derain.tail[1].bias, 0.3)  # whiter than white
    scores = validate(Fabric(accelerator='cpu', devices=1), stage, scenes, TWO, lambda *_: None)
    assert scores['psnr_0_T1'] == math.inf


def test_adapt_is_measured_by_its_labels(measured):
    scores, _ = measured('adapt')
    assert set(scores) == {'miou_0_T1', 'miou_150_T1'}
    assert all(0 <= v <= 100 for v in scores.values())


@pytest.mark.parametrize('kind', ['adapt', 'attend'])
def test_frames_are_labelled_at_the_size_that_is_asked_for(recipe, scenes, kind):
    config = recipe(kind, {'iterations': 2})
    stage = STAGE_CLASSES[kind](build(model_config(config, CAMVID)), config.stages[kind], None)
    sizes = []
    stage.network.segmentation.register_forward_pre_hook(
        lambda _, given: sizes.append(tuple(given[0].shape[-2:])))
    for side, expected in ((0, scenes.scenes[0].read().image.shape[:2]), (32, (32, 40))):
        sizes.clear()
        validate(Fabric(accelerator='cpu', devices=1), stage, scenes, TWO, lambda *_: None, side)
        assert set(sizes) == {expected}


def test_the_loop_is_measured_at_every_step(measured):
    scores, seen = measured('attend')
    assert set(scores) == {f'{kind}_{rate}_T{t}' for kind in ('psnr', 'miou')
                           for rate in (0, 150) for t in (1, 2)}
    assert all(len(steps) == 2 for *_, steps in seen)


def test_adapt_is_measured_on_what_idm_hands_on(recipe, scenes):
    config = recipe('adapt')
    network = build(model_config(config, CAMVID))
    torch.nn.init.normal_(network.derain.tail[1].weight, std=0.1)
    stage = STAGE_CLASSES['adapt'](network, config.stages['adapt'], None).eval()
    image = torch.rand(1, 3, 64, 80)
    with torch.no_grad():
        assert torch.equal(stage.unrolled(image)[0].logits, network(image, 1)[0].logits)
        assert not torch.equal(stage.unrolled(image)[0].logits, network.segmentation(image))


def test_what_is_no_class_of_a_group_is_wrong_there(measured, monkeypatch):
    everything = tuple(range(CAMVID.num_classes))
    truth = torch.full((64, 80), CAMVID.num_classes + 1, dtype=torch.uint8)
    truth[0] = 0
    monkeypatch.setattr('ubcn_ros.training.validation.validation_samples', lambda *_, **__: [
        {'clean': torch.zeros(3, 64, 80, dtype=torch.uint8),
         'degraded': torch.zeros(3, 64, 80, dtype=torch.uint8), 'labels': truth.clone()}])
    monkeypatch.setattr('ubcn_ros.network.step.Step.full_logits', property(
        lambda step: torch.eye(CAMVID.num_classes)[:, :1, None].expand(1, -1, 64, 80)))  # all 0
    for group, expected in ((everything, 100), (everything[1:], 100 / 64)):
        scores, seen = measured('adapt', (Group('none', (1,)), Group('any', group)))
        assert scores['miou_0_T1'] == pytest.approx(expected)
        assert (seen[0][2]['labels'][0, 1:] == 255).all(), 'of a picture'


def test_a_class_that_no_frame_has_does_not_count(measured, monkeypatch):
    labels = torch.zeros(64, 80, dtype=torch.uint8)
    torch.manual_seed(2)
    monkeypatch.setattr('ubcn_ros.training.validation.validation_samples', lambda *_, **__: [
        {'clean': torch.zeros(3, 64, 80, dtype=torch.uint8),
         'degraded': torch.zeros(3, 64, 80, dtype=torch.uint8), 'labels': labels}])
    scores, seen = measured('adapt')
    right = (seen[0][3][0].full_logits[0].argmax(0) == labels).float().mean()
    assert 0 < right < 1, 'other classes are seen, too'
    assert scores['miou_0_T1'] == pytest.approx(100 * float(right), abs=1e-4)


def test_a_network_that_tells_the_rain_is_measured_by_it(recipe, scenes, monkeypatch):
    config = recipe('derain')
    config.model.overrides['veil'] = {'channels': 4, 'depth': 0, 'texture': 0}
    network = build(model_config(config, CAMVID))
    with torch.no_grad():
        network.rain_head.layers[-1].bias[0] = math.log(121)
    stage = STAGE_CLASSES['derain'](network, config.stages['derain'], None)
    scores = validate(Fabric(accelerator='cpu', devices=1), stage, scenes, TWO, lambda *_: None)
    assert scores['rate_0'] == pytest.approx(120, rel=1e-4) == scores['rate_150']
    told = iter((0, 10, 30, 100, 120, 500))
    with monkeypatch.context() as patch:
        patch.setattr('ubcn_ros.training.validation.rain_of',
                      lambda logs: SimpleNamespace(rate=next(told)))
        found = validate(Fabric(accelerator='cpu', devices=1), stage, scenes,
                         DataConfig(validation_images=3), lambda *_: None)
    assert (found['rate_0'], found['rate_150']) == (10, 120), 'the medians'
    # IDM starts as the identity
    assert scores['psnr_150_lifted'] == pytest.approx(scores['psnr_150_T1'], rel=1e-4)
    torch.nn.init.constant_(network.derain.tail[1].bias, 0.3)  # now it brightens
    scores = validate(Fabric(accelerator='cpu', devices=1), stage, scenes, TWO, lambda *_: None)
    assert abs(scores['psnr_150_lifted'] - scores['psnr_150_T1']) > 0.1
    assert stage.quality(scores) == stage.quality(
        {name: value for name, value in scores.items() if '_T' in name})
    network.estimates_rain = False
    scores = validate(Fabric(accelerator='cpu', devices=1), stage, scenes, TWO, lambda *_: None)
    assert 'rate_0' not in scores and 'psnr_0_lifted' in scores
