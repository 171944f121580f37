# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import math

import pytest

from ubcn_ros.evaluation.metrics import common_means, pair_metrics, scene_metrics


def steps(psnr, miou):
    return [{'t': t, 'psnr': p, 'miou': m, 'ece': 8.0 - t}
            for t, (p, m) in enumerate(zip(psnr, miou, strict=True), 1)]


def entry(before, psnr, miou, clean_trained=0.0):
    return {'input': {'psnr': before}, 'steps': steps(psnr, miou), 'baselines': {},
            'segmentation': {'own': {'miou': 0.0}, 'clean': {'miou': clean_trained}}}


@pytest.fixture
def results():
    return {'clean': {'own': {'miou': 70.0}, 'clean': {'miou': 75.0}},
            'rates': {'0': entry(math.inf, (40, 41, 42), (70, 70, 70.4), 75),
                      '50': entry(25, (29.5, 29.6, 29.7), (65, 66, 66), 50),
                      '150': entry(20, (27, 27.4, 27.3), (60, 62, 64), 36),
                      '250': entry(18, (26.5, 26.9, 27.1), (55, 57, 56), 15)}}


@pytest.fixture
def figures(results):
    return {figure.key: figure for figure in scene_metrics(results)}


@pytest.mark.parametrize('key, value', [
    ('psnr_gain_50', 4.5),
    ('psnr_gain_150', 7.0),
    ('psnr_gain_250', 8.5),
    ('loop_psnr', 0.45),
    ('loop_miou_250', 1.0),
    ('worst_step_psnr', -0.1),
    ('worst_step_miou', -1.0),
    ('clean_miou', 70.0),
    ('miou_lost_50', 9.0),
    ('miou_lost_150', 11.0),
    ('miou_lost_250', 19.0),
    ('kept_50', 50 / 75),
    ('kept_150', 36 / 75),
    ('kept_250', 15 / 75),
    ('dry_psnr', 42.0),
    ('dry_miou', 0.4),
    ('ece_0', 5.0),
    ('ece_50', 5.0),
])
def test_figures_by_hand(figures, key, value):
    assert figures[key].value == pytest.approx(value)


def test_the_worst_step_is_named(figures):
    assert 'T = 3, 150 mm/hr' in figures['worst_step_psnr'].text
    assert 'T = 3, 250 mm/hr' in figures['worst_step_miou'].text


def test_what_was_not_measured_is_left_out(results):
    del results['clean']['clean'], results['rates']['0'], results['rates']['250']
    results['rates']['50']['steps'] = results['rates']['50']['steps'][:1]
    results['rates']['150']['steps'] = results['rates']['150']['steps'][:1]
    assert {figure.key for figure in scene_metrics(results)} == {
        'psnr_gain_50', 'psnr_gain_150', 'clean_miou', 'ece_50', 'ece_150'}


def test_an_untouched_dry_frame_has_an_infinite_psnr(results):
    results['rates'] = {'0': entry(math.inf, (math.inf,) * 3, (70,) * 3, 75)}
    figures = {figure.key: figure for figure in scene_metrics(results)}
    assert figures['dry_psnr'].value == math.inf
    assert 'worst_step_psnr' not in figures


def test_rain_that_fp32_takes_for_none_is_told_as_a_dry_frame(results):
    told = {'rain': {'rate_error': None, 'dry': 90.0, 'visibility_error': 1.0}}
    results['rates'] = {'1e-50': {**entry(math.inf, (40, 41, 42), (70,) * 3), **told}}
    figures = {figure.key: figure for figure in scene_metrics(results)}
    assert figures['rain_dry'].value == 90 and 'rain_rate_1e-50' not in figures


def test_a_step_that_spoils_an_untouched_frame_hides_none_in_rain(results):
    results['rates']['0'] = entry(math.inf, (math.inf, 40, 41), (70,) * 3, 75)
    worst = {figure.key: figure for figure in scene_metrics(results)}['worst_step_psnr']
    assert worst.value == pytest.approx(-0.1) and 'T = 3, 150 mm/hr' in worst.text
    results['rates'] = {'0': results['rates']['0']}
    worst = {figure.key: figure for figure in scene_metrics(results)}['worst_step_psnr']
    assert worst.value == -math.inf and 'T = 2, 0 mm/hr' in worst.text


def test_baselines_are_compared_at_the_last_step(results):
    results['rates']['50']['baselines'] = {'plain': steps((29.0, 29.0, 29.0), (60, 60, 60))}
    figures = {figure.key: figure for figure in scene_metrics(results)}
    assert figures['psnr_over_plain_50'].value == pytest.approx(0.7)
    assert figures['miou_over_plain_50'].value == pytest.approx(6.0)


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize('columns, means, count', [
    ({'a': [20, INF, 30]}, {'a': 25}, 2), ({'a': [20, -INF, INF]}, {'a': 20}, 1),
    ({'a': [INF] * 2}, {'a': INF}, 2), ({'a': [-INF, INF]}, {'a': NAN}, 2), ({}, {}, 0),
    ({'a': [INF, 20, 22], 'b': [50, 30, 34]}, {'a': 21, 'b': 32}, 2),
    ({'a': [INF] * 3, 'b': [50, 30, 40]}, {'a': INF, 'b': 40}, 3),  # the input of a dry drive
    ({'a': [20, 22, None], 'b': [30, 34, 90]}, {'a': 21, 'b': 32}, 2),
    ({'a': [INF, 20], 'b': [30, INF]}, {'a': NAN, 'b': NAN}, 0),
])
def test_means_are_over_the_images_in_which_all_figures_are_finite(columns, means, count):
    rows = [{key: value for key, value in zip(columns, row, strict=True) if value is not None}
            for row in zip(*columns.values(), strict=True)]
    found, images = common_means(rows)
    assert found == pytest.approx(means, nan_ok=True) and images == count


def test_pairs_gain_over_the_input():
    figures = pair_metrics({'input': {'psnr': 20.0}, 'steps': steps((23.0, 24.5), (0, 0))})
    assert [f.value for f in figures] == pytest.approx([3.0, 4.5])
    untouched = pair_metrics({'input': {'psnr': math.inf}, 'steps': steps((math.inf,), (0,))})
    assert untouched == []
