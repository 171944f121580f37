# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sheets show what the training sees and makes, and change nothing."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.network import Step
from ubcn_ros.training.pictures import ValidationPictures, samples_sheet


def colors_of(sheet):
    packed = np.unique(sheet.astype(np.int32) @ np.array([65536, 256, 1], np.int32))
    return {(color >> 16, color >> 8 & 255, color & 255) for color in packed.tolist()}


@pytest.fixture
def sheet(recipe, scenes, monkeypatch):
    """Function that draws the samples of a tiny recipe whose crops are as wide as a cell."""
    monkeypatch.setattr('ubcn_ros.training.pictures._ROWS', 2)

    def drawn(changes=None, **scenes_of):
        samples = {'crop': [100, 260], 'rain_probability': 0.5, **(changes or {})}
        config = recipe('derain', {'samples': samples})
        scenes_of = scenes_of or {'derain': scenes}
        config = replace(config, stages=dict.fromkeys(scenes_of, config.stages['derain']))
        return samples_sheet(scenes_of, config, torch.device('cpu'), 0), config
    return drawn


@pytest.mark.parametrize('on_device', [False, True])
def test_the_samples_are_those_that_each_stage_trains_on(sheet, scenes, make_trainer, on_device):
    scenes_of = {'derain': scenes, 'attend': replace(scenes, scenes=scenes.scenes[1:])}
    drawn, config = sheet({'on_device': on_device}, **scenes_of)
    rows = drawn.tobytes()
    for stage, training in scenes_of.items():
        trainer, seen = make_trainer(config, stage, training=training), []
        trainer.train_step = partial(recorded, seen)
        trainer.fit()
        for batch in seen[:2]:  # of two samples
            for image in (*batch['clean'], *batch['degraded']):
                # the first line of a sample is not covered by its caption
                line = np.ascontiguousarray(image.permute(1, 2, 0).numpy()[0])
                assert line.tobytes() in rows, stage


def recorded(seen, batch):
    """In place of an optimizer step."""
    seen.append(batch)
    return torch.zeros(()), {}


@pytest.mark.parametrize('on_device', [False, True])
def test_drawing_leaves_random_states_alone(sheet, on_device):
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    sheet({'on_device': on_device})
    assert (torch.rand(1), np.random.rand()) == expected


def test_each_stage_has_a_block(sheet, scenes):
    one, two = sheet(derain=scenes)[0], sheet(derain=scenes, attend=scenes)[0]
    assert one.shape[1] == two.shape[1] and two.shape[0] > 1.7 * one.shape[0]


def test_scenes_without_labels_have_no_column_of_labels(sheet, scenes):
    with_labels = sheet()[0]
    without = sheet(derain=replace(scenes, label_set=None))[0]
    assert without.shape[1] < with_labels.shape[1]
    assert set(CAMVID.colors) <= colors_of(with_labels)
    assert not set(CAMVID.colors) <= colors_of(without)


def test_groups_of_classes_are_shown_as_unlabeled(sheet, scenes, monkeypatch):
    seen = []
    monkeypatch.setattr('ubcn_ros.training.pictures.overlay',
                        lambda image, labels, _label_set: seen.append(labels) or image)
    count = 2  # ids from here on are those of groups
    few = replace(CAMVID, classes=CAMVID.classes[:count], colors=CAMVID.colors[:count],
                  paths=((*range(count),),))
    sheet(derain=scenes)
    sheet(derain=replace(scenes, label_set=few))
    known, shown = np.array(seen).reshape(2, -1)
    assert np.array_equal(shown, np.where(known < count, known, 255))
    assert ((known >= count) & (known < 255)).any()


def frame(value, height=40, width=64):
    labels = torch.full((1, height, width), 3)
    labels[:, :10] = 255
    return {'degraded': torch.full((1, 3, height, width), value),
            'clean': torch.full((1, 3, height, width), value + 0.1), 'labels': labels}


def step(batch, class_id=3):
    image = batch['degraded'] + 0.05
    logits = torch.zeros(1, CAMVID.num_classes, 5, 8)
    logits[:, class_id] = 1
    return Step(image, logits, batch['degraded'])


@pytest.fixture
def validated():
    """Function that shows a validation of some frames to pictures."""
    def shown(measures=('psnr', 'miou'), frames=7, rates=(0.0, 150.0), class_id=3):
        pictures = ValidationPictures(CAMVID, measures, frames)
        for rate in rates:
            for n in range(frames):
                batch = frame(0.07 * n)
                pictures(rate, n, batch, [step(batch, class_id)] * 2)
        return pictures.sheet('tiny', {'psnr_150_T1': 26.0})
    return shown


def test_kept_frames_are_spread_evenly_at_every_rate(validated):
    both, dry = validated(), validated(rates=(0.0,))
    for shown in (both, dry):
        inputs = colors_of(shown[:, 40:41])
        assert {n for n in range(7) if (round(17.85 * n),) * 3 in inputs} == {0, 2, 4}
    assert both.shape[0] > 1.7 * dry.shape[0]


@pytest.mark.parametrize('frames', [1, 2])
def test_few_frames_are_all_kept(validated, frames):
    assert validated(frames=frames).shape[0] > 100 * frames


def test_labels_are_shown_where_the_stage_has_them(validated):
    """Right masks have the colour of the labels, wrong ones another."""
    with_labels, wrong = validated(), validated(class_id=5)
    assert with_labels.shape[0] > validated(('psnr',)).shape[0]

    def area(sheet, class_id):
        return int((sheet == CAMVID.colors[class_id]).all(2).sum())
    assert area(with_labels, 3) > 2 * area(wrong, 3) > 1000
    assert area(wrong, 5) > 1000


def test_large_frames_are_kept_small():
    pictures = ValidationPictures(CAMVID, ('psnr', 'miou'), 1)
    batch = frame(0.5, 512, 1024)
    pictures(0.0, 0, batch, [step(batch)])
    assert pictures.sheet('', {}).shape[1] < 1100


def test_an_image_without_a_difference_has_no_decibels(monkeypatch):
    captions = []
    monkeypatch.setattr('ubcn_ros.training.pictures.contact_sheet',
                        lambda rows, *_: captions.extend(texts for texts, _ in rows))
    pictures, batch = ValidationPictures(CAMVID, ('psnr',), 1), frame(0.5)
    pictures(0.0, 0, {**batch, 'clean': batch['degraded']}, [step(batch)])
    pictures.sheet('', {})
    assert captions == [['0 mm/hr, equal to clean', '26.0 dB', 'frame 0']]


def test_nothing_validated_has_no_sheet():
    with pytest.raises(ValueError, match='at least one row'):
        ValidationPictures(CAMVID, ('psnr',), 4).sheet('', {})
