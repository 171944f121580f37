# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn model calibrate`: one number goes into the file, and all else stays."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from camvid_folder import write_scene
from command_line import ubcn
from random_images import clouds

pytest.importorskip('torchmetrics')
from ubcn_ros import Engine  # noqa: E402
from ubcn_ros.runtime import load_model  # noqa: E402

CALIBRATED = 0.1


def run(*arguments):
    return ubcn('model', *arguments)


def calibrate(model, data, *more):
    return run('calibrate', model, '--data', data, '--device', 'cpu', '--iterations', 1, *more)


@pytest.fixture
def model(tiny_model, tmp_path):
    return Path(shutil.copy(tiny_model, tmp_path / 'copy.safetensors'))


@pytest.fixture(scope='module')
def data(tiny_model, tmp_path_factory):
    """
    Five frames of drives A and B, whose labels are drawn from the tiny model's probabilities.

    They are those at a temperature of CALIBRATED, which a fit on dry frames is to find.
    """
    network, root = load_model(tiny_model)[0], tmp_path_factory.mktemp('drawn')
    for seed, name in enumerate(('A_0', 'A_1', 'A_2', 'A_3', 'B_0')):
        image = clouds(seed)
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            chances = (network(tensor, 1)[-1].full_logits[0] / CALIBRATED).softmax(0)
        labels = torch.multinomial(chances.flatten(1).T, 1, generator=torch.Generator()
                                   .manual_seed(seed)).reshape(48, 64).byte().numpy()
        labels[:2] = 255
        write_scene(root, 'val', name, image, labels)
    return root


def test_the_temperature_is_fitted_stated_and_written(model, data, tmp_path):
    before = load_model(model)[1]
    result = calibrate(model, data, '--only', 'A', '--workers', 1, '--json',
                       tmp_path / 'found.json')
    assert result.exit_code == 0, result.output
    network, info = load_model(model)
    said = info.metadata['calibration']
    assert info.temperature != 1 and info.metadata['note'] == before.metadata['note']
    assert f'temperature 1 before, {info.temperature:g} fitted on the first 2 of 4' \
        in result.output
    assert said['data'] == {'name': f'{data.name}/val', 'rain': 'rendered', 'only': ['A'],
                            'stride': 1,
                            'fitted on': '2 images, A_0 to A_1',
                            'tested on': '2 images, A_2 to A_3'}
    assert said['rates'].keys() == {'0', '150'} and said['iterations'] == 1
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['temperature'] == info.temperature and found['calibration'] == said
    assert found['model']['sha256'] == before.sha256 != info.sha256
    for name, tensor in load_model(model)[0].state_dict().items():
        assert tensor.equal(network.state_dict()[name])
    told = run('info', model).output
    assert 'temperature' in told and '2 images, A_0 to A_1' in told and 'ece_after' in told


@pytest.mark.parametrize('count', [19, 20])
def test_few_images_to_fit_on_are_told(model, data, tmp_path, count):
    for kind in ('images', 'labels'):
        (tmp_path / 'set/val' / kind).mkdir(parents=True)
        for i in range(count):
            shutil.copy(data / 'val' / kind / f'A_{i % 4}.png',
                        tmp_path / 'set/val' / kind / f'A_{i:02}.png')
    result = calibrate(model, tmp_path / 'set', '--rates', 0)
    assert result.exit_code == 0, result.output
    told = 'Warning: the temperature is fitted on 9 images: on fewer than 10 it may make'
    assert (told in result.output) == (count == 19)


def test_what_the_engine_gives_is_calibrated_then_and_labels_stay(model, data):
    image = cv2.imread(str(data / 'val' / 'images' / 'B_0.png'))[..., ::-1]
    truth = cv2.imread(str(data / 'val' / 'labels' / 'B_0.png'), cv2.IMREAD_UNCHANGED)
    frames = [Engine.load(model, 'cpu', 'fp32')(image, 1, confidence=True)]
    assert calibrate(model, data, '--rates', 0).exit_code == 0
    info = load_model(model)[1]
    assert info.temperature == pytest.approx(CALIBRATED, rel=0.15)
    dry = info.metadata['calibration']['rates']['0']
    assert dry['ece_after'] < 5 < 10 < dry['ece_before']
    frames.append(Engine.load(model, 'cpu', 'fp32')(image, 1, confidence=True))
    assert np.array_equal(frames[0].labels, frames[1].labels)
    known = truth != 255
    right = (frames[0].labels == truth)[known].mean()
    gaps = [abs(frame.confidence[known].mean() / 255 - right) for frame in frames]
    assert gaps[1] < 0.05 < 0.1 < gaps[0]


def test_a_second_fit_begins_from_what_the_file_says(model, data):
    assert calibrate(model, data, '--rates', 0).exit_code == 0
    first = load_model(model)[1]
    result = calibrate(model, data, '--rates', 0)
    again = load_model(model)[1]
    assert again.temperature == first.temperature
    entry = again.metadata['calibration']['rates']['0']
    assert entry['ece_before'] == entry['ece_after']
    assert f'temperature {first.temperature:g} before' in result.output


def test_the_temperature_is_written_where_nothing_can_be_printed(model, data, tmp_path, unheard):
    found = tmp_path / 'found.json'
    assert calibrate(model, data, '--rates', 0, '--json', found).exit_code == 1
    assert load_model(model)[1].temperature == json.loads(found.read_text())['temperature'] != 1


def test_a_dry_run_leaves_the_file(model, data):
    before = model.read_bytes()
    result = calibrate(model, data, '--dry-run', '--rates', 0)
    assert result.exit_code == 0 and 'ECE % after' in result.output, result.output
    assert model.read_bytes() == before and 'wrote' not in result.output


def test_a_file_that_cannot_be_written_is_told_before_the_work(model, data, monkeypatch):
    monkeypatch.setattr('os.access', lambda path, mode: mode != os.W_OK)  # as for who is no root
    monkeypatch.setattr('ubcn_ros.evaluation.measure.LoadedModel.load', None)  # not called
    result = calibrate(model, data)
    assert result.exit_code == 2 and 'copy.safetensors' in result.output, result.output
    assert 'cannot be written: the file is read-only' in ' '.join(result.output.split())


@pytest.mark.parametrize('more, told', [
    (['--limit', 1], 'gives 1 images with labels: two are needed'),
    (['--stride', 9], 'gives 1 images with labels: two are needed'),
    (['--split', 'train'], "no split 'train': choose one of val"),
    (['--rates', 'heavy'], "'heavy' is not a list of numbers")])
def test_what_cannot_be_fitted_on_is_told(model, data, more, told):
    before = model.read_bytes()
    result = calibrate(model, data, *more)
    assert result.exit_code in (1, 2) and told in ' '.join(result.output.split())
    assert model.read_bytes() == before


def test_labels_that_are_chance_leave_the_file(model, data, tmp_path):
    shutil.copytree(data, tmp_path / 'chance')
    for seed, path in enumerate((tmp_path / 'chance' / 'val' / 'labels').iterdir()):
        cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 11, (48, 64), np.uint8))
    before = model.read_bytes()
    result = calibrate(model, tmp_path / 'chance', '--rates', 0)
    assert result.exit_code == 1 and 'no better than chance' in result.output, result.output
    assert model.read_bytes() == before


def test_without_a_labelled_pixel_there_is_nothing_to_fit(model, data, tmp_path):
    shutil.copytree(data, tmp_path / 'bare')
    for name in ('B_0', 'A_3', 'A_2'):
        path = tmp_path / 'bare' / 'val' / 'labels' / f'{name}.png'
        cv2.imwrite(str(path), np.full((48, 64), 255, np.uint8))
    result = calibrate(model, tmp_path / 'bare', '--rates', 0)
    assert result.exit_code == 1
    assert 'has no labelled pixel in the second half of the images' in result.output


def test_a_broken_image_is_told_before_the_work(model, data, tmp_path, monkeypatch):
    monkeypatch.setattr('ubcn_ros.evaluation.temperature.calibrate', None)  # not called
    shutil.copytree(data, tmp_path / 'cut')
    (tmp_path / 'cut' / 'val' / 'images' / 'B_0.png').write_bytes(b'')
    result = calibrate(model, tmp_path / 'cut')
    assert result.exit_code == 1 and '1 of 5 images cannot be measured' in result.output
    assert 'B_0.png' in result.output.splitlines()[-1]
