# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from random_images import clouds, noise

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.voc2012 import VOC2012
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.validation_rain import RAINS, RENDERED, rainy_view
from ubcn_ros.evaluation import measure
from ubcn_ros.evaluation.measure import (
    LoadedModel,
    LoopScore,
    measure_pairs,
    measure_scenes,
)
from ubcn_ros.images.files import write_image
from ubcn_ros.runtime import Engine, load_model, save_model
from ubcn_ros.runtime.processing import NATIVE, TRAINED
from ubcn_ros.training.label_score import LabelScore


def psnr(image, clean):
    error = np.mean((image.astype(float) - clean.astype(float)) ** 2)
    return 10 * math.log10(255 ** 2 / error)


@pytest.fixture(scope='module')
def identity(identity_model):
    return LoadedModel.load(identity_model, 'cpu', 'fp32')


@pytest.fixture(scope='module')
def tiny(tiny_model):
    return LoadedModel.load(tiny_model, 'cpu', 'fp32')


def test_identity_keeps_the_figures_of_the_input(identity, camvid_folder):
    scenes = open_data([camvid_folder]).split('val')
    result = measure_scenes(identity, scenes, [0, 2], [0.0, 100.0], 3)
    rainy = result['rates']['100']
    for step in rainy['steps']:
        assert step['psnr'] == pytest.approx(rainy['input']['psnr'])
        assert step['ssim'] == pytest.approx(rainy['input']['ssim'])
        assert step['miou'] == pytest.approx(rainy['segmentation']['own']['miou'])
    dry = result['rates']['0']
    assert dry['input']['psnr'] == math.inf
    assert dry['segmentation']['own'] == result['clean']['own']


def test_the_rain_is_the_validation_rain_of_the_scene_s_index(identity, camvid_folder):
    scenes = open_data([camvid_folder]).split('val')
    expected = []
    for index in (1, 3):
        scene = scenes.scenes[index]
        rainy = rainy_view(scene.image(), scene.labels(), scenes, 100.0, index)
        expected.append(psnr(rainy, scene.image()))
    result = measure_scenes(identity, scenes, [1, 3], [100.0], 1)
    assert result['rates']['100']['input']['psnr'] == pytest.approx(np.mean(expected), abs=1e-3)


def test_figures_are_those_of_the_engine_s_output(tiny, tiny_engine, camvid_folder):
    scenes = open_data([camvid_folder]).split('val')
    result = measure_scenes(tiny, scenes, [1], [150.0], 3)['rates']['150']
    scene = scenes.scenes[1]
    image, truth = scene.image(), scene.labels()
    for t in (1, 2, 3):
        frame = tiny_engine(rainy_view(image, truth, scenes, 150.0, 1), iterations=t)
        score = LabelScore(CAMVID, torch.device('cpu'))
        score.add(torch.from_numpy(frame.labels).long(), torch.from_numpy(truth).long())
        step = result['steps'][t - 1]
        assert step['t'] == t
        assert step['psnr'] == pytest.approx(psnr(frame.derained, image), abs=1e-3)
        assert step['miou'] == pytest.approx(score.result()['miou'])


def test_a_model_is_measured_at_the_size_that_it_was_trained_for(tmp_path, tiny_model):
    path, image = tmp_path / 'trained.safetensors', noise(1, 96, 128)
    save_model(path, load_model(tiny_model)[0], {'trained_short_side': 40})
    engine, labels = Engine.load(path, 'cpu', 'fp32'), []
    for size in (TRAINED, NATIVE):
        loaded = LoadedModel.load(path, 'cpu', 'fp32', processing_size=size)
        with torch.inference_mode():
            step = loaded.loop(loaded.upload(image), 2)[-1]
        labels.append(step.full_logits[0].argmax(0).numpy())
        assert (labels[-1] == engine(image, 2, processing_size=size).labels).mean() > 0.999
    assert (labels[0] == labels[1]).mean() < 0.99


def test_segmentation_alone_sees_the_rain(tiny, camvid_folder):
    scenes = open_data([camvid_folder]).split('val')
    image, truth = scenes.scenes[1].image(), scenes.scenes[1].labels()
    found, expected = measure_scenes(tiny, scenes, [1], [150.0], 1), []
    for seen in (image, rainy_view(image, truth, scenes, 150.0, 1)):
        with torch.inference_mode():
            logits = tiny.network.segmentation(tiny.upload(seen))
        labels = torch.nn.functional.interpolate(logits, truth.shape, mode='bilinear')[0].argmax(0)
        score = LabelScore(CAMVID, torch.device('cpu'))
        score.add(labels, torch.from_numpy(truth).long())
        expected.append(score.result())
    assert expected[0] != expected[1]
    assert [found['clean']['own'], found['rates']['150']['segmentation']['own']] == expected


def test_rain_is_told_by_the_model_itself_and_only_where_it_has_a_rate(rain_model, identity,
                                                                       camvid_folder):
    scenes = open_data([camvid_folder]).split('val')
    model = LoadedModel.load(rain_model, 'cpu', 'fp32')
    for rain in RAINS:
        result = measure_scenes(model, scenes, [1], [100.0], 1, baselines={'other': identity},
                                rain=rain)['rates']['100']
        assert ('rain' in result) is (rain == RENDERED)


def test_steps_that_were_not_run_have_the_time_of_the_last_that_was(identity, monkeypatch):
    """But for the first, which is slow and does not count."""
    times, clock = iter((1000, 2000, 10, 5)), [0]

    def two_steps(self, image, iterations, after_step=lambda: None):
        steps = self.network(image, 2)
        for _ in range(2):
            clock[0] += next(times)
            after_step()
        return steps
    monkeypatch.setattr(measure, 'now', lambda _device: clock[0] / 1e3)
    monkeypatch.setattr(LoadedModel, 'loop', two_steps)
    score, image = LoopScore(identity, 4, ()), torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        score.add(image, image, None)
    assert score.latency_ms() == pytest.approx([10, 15, 15, 15])


def test_calibration_is_of_the_engine_s_confidence_at_the_temperature_of_the_file(
        tmp_path, tiny_model, camvid_folder):
    path = tmp_path / 'hot.safetensors'
    save_model(path, load_model(tiny_model)[0], {'temperature': 0.5})
    scenes = open_data([camvid_folder]).split('val')
    image, truth = scenes.scenes[1].image(), scenes.scenes[1].labels()
    found = []
    for model in (tiny_model, path):
        loaded = LoadedModel.load(model, 'cpu', 'fp32')
        step = measure_scenes(loaded, scenes, [1], [0.0], 2)['rates']['0']['steps'][1]
        frame = Engine.load(model, 'cpu', 'fp32')(image, 2, confidence=True)
        known = truth != 255
        right = (frame.labels == truth)[known]
        sure = frame.confidence[known] / 255
        assert step['accuracy'] == pytest.approx(100 * right.mean(), abs=0.1)
        below = np.abs(sure.mean() - right.mean())  # of all bins together, which is no more
        assert step['ece'] >= 100 * below - 0.3
        for point in step['coverage']:
            # to the steps of 1/255
            shares = [100 * (sure >= point['min_confidence'] + d).mean() for d in (0.004, -0.004)]
            assert shares[0] - 1e-6 <= point['coverage'] <= shares[1] + 1e-6
        found.append(step['ece'])
    assert found[0] != found[1]


def test_baselines_and_segmentations_are_measured_on_the_same_images(tiny, identity,
                                                                     camvid_folder):
    scenes = open_data([camvid_folder]).split('val')
    both = measure_scenes(identity, scenes, [0], [50.0], 2, {'clean': tiny}, {'other': tiny})
    alone = measure_scenes(tiny, scenes, [0], [50.0], 2)
    assert both['rates']['50']['baselines']['other'] == alone['rates']['50']['steps']
    assert both['rates']['50']['segmentation']['clean'] == \
        alone['rates']['50']['segmentation']['own']
    assert both['clean']['clean'] == alone['clean']['own']
    own = measure_scenes(identity, scenes, [0], [50.0], 2)
    assert both['rates']['50']['steps'] == own['rates']['50']['steps']
    assert own['rates']['50']['steps'] != alone['rates']['50']['steps']


def test_progress_per_image_and_rate(identity, camvid_folder):
    calls = []
    scenes = open_data([camvid_folder]).split('val')
    measure_scenes(identity, scenes, [0, 1], [0.0, 50.0, 150.0], 1,
                   progress=lambda: calls.append(1))
    assert len(calls) == 6


def test_latency_is_the_median_of_the_images_times_from_the_start(identity, camvid_folder,
                                                                  monkeypatch):
    # start, first step, second step, of each image
    times = iter((0, 10, 15, 100, 112, 118, 200, 290, 390))
    monkeypatch.setattr(measure, 'now', lambda _device: next(times) / 1e3)
    scenes = open_data([camvid_folder]).split('val')
    result = measure_scenes(identity, scenes, [0, 1, 2], [0.0], 2)
    assert result['latency_ms']['0'] == pytest.approx([12, 18])


def test_another_label_set_is_refused(identity, camvid_folder):
    scenes = replace(open_data([camvid_folder]).split('val'), label_set=VOC2012)
    with pytest.raises(ValueError, match='Sky, Building.*background, aeroplane'):
        measure_scenes(identity, scenes, [0], [0.0], 1)


@pytest.mark.parametrize('name', ['own', 'clean'])
def test_a_baseline_of_a_segmentations_name_is_checked_too(identity, tiny, camvid_folder, name):
    scenes = open_data([camvid_folder]).split('val')
    other = replace(tiny, network=SimpleNamespace(label_set=VOC2012))
    with pytest.raises(ValueError, match=f'classes of {name} are background, aeroplane'):
        measure_scenes(identity, scenes, [0], [0.0], 1, {'clean': tiny}, {name: other})


def test_pairs_by_hand(identity, pairs_folder):
    pairs = open_data([pairs_folder]).split('train').scenes
    result = measure_pairs(identity, pairs, 2, {'other': identity}, lambda: None)
    expected = (20 * math.log10(255 / 10) + 20 * math.log10(255 / 20)) / 2
    assert result['input']['psnr'] == pytest.approx(expected, abs=1e-3)
    assert [step['psnr'] for step in result['steps']] == pytest.approx([expected] * 2, abs=1e-3)
    assert 'miou' not in result['steps'][0]
    assert result['baselines']['other'] == result['steps']


def test_psnrs_beside_each_other_are_of_the_same_images(tiny, tmp_path):
    """Of pairs without rain, whose input equals the clean image, a network's output does not."""
    for number in range(3):
        clean = clouds(number, low=40, high=200)
        for name, image in (('input', clean + np.uint8(20 * (number == 2))), ('target', clean)):
            write_image(tmp_path / 'drops' / name / f'{number}.png', image)
    pairs = open_data([tmp_path / 'drops']).split('train').scenes
    mixed, alone, dry = (measure_pairs(tiny, chosen, 2, {'other': tiny}, lambda: None)
                         for chosen in (pairs, pairs[2:], pairs[:2]))
    assert (mixed['psnr_left_out'], alone['psnr_left_out'], dry['psnr_left_out']) == (2, 0, 0)
    assert mixed['input']['equal'] == 2
    for found, expected in zip((mixed['input'], *mixed['steps'], *mixed['baselines']['other']),
                               (alone['input'], *alone['steps'], *alone['baselines']['other']),
                               strict=True):
        assert found['psnr'] == pytest.approx(expected['psnr'])
    assert dry['input']['psnr'] == math.inf > dry['steps'][0]['psnr']


def test_of_pairs_the_degraded_image_is_derained(tiny, tiny_engine, pairs_folder):
    pair = open_data([pairs_folder]).split('train').scenes[0]
    image, _, _, rainy = pair.read()
    result = measure_pairs(tiny, [pair], 2, {}, lambda: None)
    for t in (1, 2):
        expected = psnr(tiny_engine(rainy, t).derained, image)
        assert result['steps'][t - 1]['psnr'] == pytest.approx(expected, abs=1e-3)
