# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import math

import cv2
import pytest

from ubcn_ros.evaluation.metrics import Metric
from ubcn_ros.evaluation.report import draw, pair_text, scene_text
from ubcn_ros.text_table import table

STEP = {'psnr': 27.5, 'ssim': 0.9, 'equal': 0, 'miou': 61.25, 'iou': {'Sky': 90.0, 'Road': None},
        'ece': 3.875, 'accuracy': 88.0, 'coverage': [
            {'min_confidence': 0.0, 'coverage': 100.0, 'accuracy': 88.0},
            {'min_confidence': 0.9, 'coverage': 60.0, 'accuracy': 97.0}]}
LABELS = {'miou': 50.5, 'iou': {'Sky': 80.0, 'Road': None}}
RESULTS = {
    'clean': {'own': LABELS, 'clean': {**LABELS, 'miou': 71.5}},
    'rates': {'0': {'input': {'psnr': math.inf, 'ssim': 1.0, 'equal': 21},
                    'segmentation': {'own': LABELS},
                    'steps': [{'t': 1, **STEP}, {'t': 2, **STEP}], 'baselines': {}},
              '50': {'input': {'psnr': 22.25, 'ssim': 0.7, 'equal': 3},
                     'segmentation': {'own': LABELS, 'clean': {**LABELS, 'miou': 33.75}},
                     'steps': [{'t': 1, **STEP}, {'t': 2, **STEP}],
                     'baselines': {'plain': [{'t': 1, **STEP}]}}}}
PAIRS = {'input': {'psnr': 20.0, 'ssim': 0.5, 'equal': 0},
         'steps': [{'t': 1, 'psnr': 23.5, 'ssim': 0.6, 'equal': 0}],
         'baselines': {}}


def test_columns_line_up():
    lines = table(('name', 'value'), [['a', '1.00'], ['longer', '10.00']]).splitlines()
    assert lines == ['name    value', '------  -----', 'a        1.00', 'longer  10.00']


def test_every_measured_figure_is_in_the_table():
    text = scene_text(RESULTS, [Metric('k', 'some gain', 5.25, 'dB')])
    for expected in ('27.50', '0.9000', '61.25', '3 equal, 22.25', '21 equal, inf',
                     '33.75', '71.50', 'plain, T = 1', '3.88', 'Sky', 'some gain', '5.25'):
        assert expected in text
    road = next(line for line in text.splitlines() if line.startswith('Road'))
    assert road.split() == ['Road', '-', '-', '-']


def test_images_that_psnrs_leave_out_are_said():
    assert 'without' not in scene_text(RESULTS, []) + pair_text(PAIRS, [])
    rates = {**RESULTS['rates'], '50': {**RESULTS['rates']['50'], 'psnr_left_out': 3}}
    text = scene_text({**RESULTS, 'rates': rates}, [])
    assert 'PSNR in 50 mm/hr: without 3 images of which the input or an output equals' in text
    assert 'PSNR: without 1 image ' in pair_text({**PAIRS, 'psnr_left_out': 1}, [])


def test_figures_of_pairs_are_in_the_table():
    text = pair_text(PAIRS, [Metric('k', 'gain', 3.5, 'dB')])
    assert '23.50' in text and '3.50' in text


@pytest.mark.parametrize('results', [RESULTS, PAIRS])
def test_picture(tmp_path, results):
    path = tmp_path / 'new' / 'quality.png'
    draw(path, 'a title', results)
    image = cv2.imread(str(path))
    assert image.std() > 1  # something is drawn
    draw(path, 'a $odd_{ $title', results)


def test_picture_of_an_unknown_format(tmp_path):
    with pytest.raises(ValueError, match='xyz'):
        draw(tmp_path / 'quality.xyz', 'a title', PAIRS)
