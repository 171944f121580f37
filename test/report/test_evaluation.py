# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reports of evaluations: the figures as they were written, and pictures of the same rain."""

import json

import pytest

from ubcn_ros.report.evaluation import Evaluation, evaluation_report
from ubcn_ros.report.page import html
from ubcn_ros.report.scenes import add_pictures
from ubcn_ros.report.steps import Steps

PARTS = {'command': 'ubcn evaluate --data streets', 'iterations': 2, 'device': 'cpu',
         'precision': 'fp32', 'processing_size': 0,
         'model': {'name': 'tiny', 'sha256': 'ab' * 32}}


def labelled(value):
    return {'miou': value, 'iou': {'Sky': value, 'Road': None}}


def step(t, psnr, miou):
    return {'t': t, 'psnr': psnr, 'ssim': 0.9, 'ece': 2.0, 'accuracy': 90.0,
            'coverage': [{'min_confidence': 0.0, 'coverage': 100.0, 'accuracy': 90.0},
                         {'min_confidence': 0.5, 'coverage': 80.0, 'accuracy': 95.0}],
            **labelled(miou)}


def results(gain=0.0):
    return {
        'clean': {'own': labelled(75.0)},
        'rates': {rate: {
            'input': {'psnr': before, 'ssim': 0.5}, 'segmentation': {'own': labelled(50.0)},
            'steps': [step(1, 30.0 + gain, 60.0), step(2, 31.0 + gain, 61.0)],
            'baselines': {'other': [step(1, 28.0, 55.0), step(2, 28.5, 56.0)]},
        } for rate, before in (('0', None), ('150', 20.0))},
        'latency_ms': {'0': [10.0, 25.0], '150': [10.0, 25.0]},
        'figures': {'psnr_gain_150': {'text': 'PSNR over the input', 'value': 10.0, 'unit': 'dB'}}}


def written(path, **more):
    data = {'name': 'streets/val', 'path': 'streets', 'split': 'val', 'only': [], 'stride': 5,
            'count': 2, 'images': ['1', '2'], 'rain': 'painted', 'rain_seeds': [0, 5],
            'rain_rates_mm_h': [0, 150]}
    path.write_text(json.dumps({**PARTS, 'data': data, **more}))
    return Evaluation(path)


def lines(report, title):
    """The lines of a chart, by name."""
    (chart,) = (c for _, group in report.charts for c in group if c.title == title)
    return {line.name: dict(line.points) for line in chart.drawn}


def test_figures_against_steps_and_rain(tmp_path):
    report = evaluation_report(written(tmp_path / 'e.json', **results()))
    assert lines(report, 'PSNR and steps') == {'0 mm/hr': {1: 30, 2: 31},
                                               '150 mm/hr': {0: 20, 1: 30, 2: 31},
                                               'other': {1: 28, 2: 28.5}}
    assert lines(report, 'mIoU and rain')['T = 2'] == {0: 61, 150: 61}
    assert lines(report, 'PSNR and rain')['not derained'] == {150: 20}
    assert lines(report, 'Latency and steps')['150 mm/hr'] == {1: 10, 2: 25}
    assert lines(report, 'Latency and rain')['T = 1'] == {0: 10, 150: 10}
    assert lines(report, 'Accuracy and coverage')['0 mm/hr'] == {80: 95, 100: 90}
    tiles = {tile.title: tile.value for tile in report.tiles}
    assert tiles['PSNR'] == '20.0 → 31.0 dB' and tiles['mIoU'] == '50.0 → 61.0 %'
    assert tiles['Latency'] == '25.0 ms'
    classes, figures = report.tables
    assert classes.rows[0] == ('Sky', None, (75.0, 61.0, 61.0))
    assert figures.rows == (('PSNR over the input', None, (10.0, 'dB')),)
    said = '\n'.join(report.not_measured)
    for words in ('Scale', '--clean-segmentation', 'every 5th', 'benchmark engine', 'GPU'):
        assert words in said, words
    assert 'PSNR and steps' in html(report)


def test_the_psnr_of_equal_images_is_infinite_again(tmp_path):
    equal = results()
    equal['rates']['150']['input']['psnr'] = equal['rates']['0']['steps'][1]['psnr'] = None
    evaluation = written(tmp_path / 'e.json', **equal)
    tiles = {tile.title: tile.value for tile in evaluation_report(evaluation).tiles}
    assert tiles['PSNR'] == '∞ → 31.0 dB'
    assert lines(evaluation_report(evaluation), 'PSNR and steps')['0 mm/hr'] == {1: 30}


def test_images_that_psnrs_leave_out_are_said(tmp_path):
    left = results()
    left['rates']['150']['psnr_left_out'] = 1
    made = evaluation_report(written(tmp_path / 'e.json', **left))
    tile = next(tile for tile in made.tiles if tile.title == 'PSNR')
    assert tile.value == '20.0 → 31.0 dB' and tile.text.endswith('; over 1 of 2 images')
    assert any('150 mm/hr: without 1 image' in line for line in made.not_measured)
    left['rates']['150'] |= {'psnr_left_out': 2, 'input': {'psnr': None}}
    made = evaluation_report(written(tmp_path / 'e.json', **left))
    assert next(tile for tile in made.tiles if tile.title == 'PSNR').value == '– → – dB'


@pytest.mark.parametrize('place', [
    ('rates', '150', 'steps', 0, 'psnr'), ('rates', '0', 'steps', 1, 'miou'),
    ('rates', '0', 'steps', 1, 'coverage', 0, 'accuracy'), ('latency_ms', '0', 0),
    ('rates', '150', 'baselines', 'other', 0, 'psnr')], ids=str)
def test_figures_that_are_no_numbers_are_a_clear_error(tmp_path, place):
    said = found = results()
    for key in place[:-1]:
        found = found[key]
    found[place[-1]] = 'abc'
    with pytest.raises(ValueError, match="e.json is not as `ubcn evaluate --json` .*'abc'"):
        html(evaluation_report(written(tmp_path / 'e.json', **said)))


def test_rates_may_be_in_any_order(tmp_path):
    def points(report):
        return {(chart.title, line.name): line.points for _, group in report.charts
                for chart in group for line in chart.drawn}

    shuffled = results()
    for name in ('rates', 'latency_ms'):
        shuffled[name] = dict(reversed(shuffled[name].items()))
    assert points(evaluation_report(written(tmp_path / 'a.json', **shuffled))) == points(
        evaluation_report(written(tmp_path / 'b.json', **results())))


@pytest.mark.parametrize('part, key', [('data', 'rain'), ('data', 'images'), ('rate', 'steps'),
                                       ('rate', 'baselines'), ('all', 'latency_ms')])
def test_what_another_version_has_not_written_is_a_clear_error(tmp_path, part, key):
    said = written(tmp_path / 'e.json', **results()).said
    del {'data': said['data'], 'rate': said['rates']['150'], 'all': said}[part][key]
    (tmp_path / 'e.json').write_text(json.dumps(said))
    with pytest.raises(ValueError, match=f"e.json is not as `ubcn evaluate --json` .*'{key}'"):
        evaluation_report(Evaluation(tmp_path / 'e.json'))


def test_sizes_are_drawn_against_scale(tmp_path):
    sizes = {'960x720': results(gain=2.0), '640x360': results(gain=1.0), '480x360': results()}
    report = evaluation_report(written(tmp_path / 'e.json', sizes=sizes))
    assert lines(report, 'PSNR and scale')['150 mm/hr'] == {0: 31, 1: 32, 2: 33}
    assert lines(report, 'Latency and scale')['0 mm/hr'] == {0: 25, 1: 25, 2: 25}
    names = ('480x360', '640x360', '960x720')
    assert {chart.names for chart in dict(report.charts)['Scale']} == {names}
    page = html(report)
    assert all(page.count(f'<th class="n">{name}</th>') == 3 for name in names)
    assert '150 mm/hr: 32 PSNR, dB at size of the images, pixels 640x360' in page
    assert not any(line.startswith('Scale') for line in report.not_measured)


def test_pairs_have_no_labels(tmp_path):
    entry = results()['rates']['150']
    pairs = {'input': entry['input'], 'figures': {}, 'steps': [
        {'t': t, 'psnr': 25.0 + t, 'ssim': 0.9} for t in (1, 2)], 'baselines': {},
        'latency_ms': {'': [5.0, 10.0]}}
    report = evaluation_report(written(tmp_path / 'e.json', **pairs))
    assert lines(report, 'PSNR and steps') == {'pairs': {0: 20, 1: 26, 2: 27}}
    assert next(t for t in report.tiles if t.title == 'mIoU').value is None
    assert any('pairs' in line for line in report.not_measured)
    assert 'PSNR and steps' in html(report)


@pytest.mark.parametrize(('text', 'complaint'), [
    ('{', 'is not JSON'), ('[1]', 'not what `ubcn evaluate --json` writes'),
    ('{"rows": 1}', 'not what')])
def test_other_files_are_clear_errors(tmp_path, text, complaint):
    (tmp_path / 'e.json').write_text(text)
    with pytest.raises(ValueError, match=complaint):
        Evaluation(tmp_path / 'e.json')


def test_data_named_from_another_folder_are_told_with_the_remedy(tmp_path, fake_engine):
    evaluation = written(tmp_path / 'e.json', **results())
    with pytest.raises(ValueError, match='streets, the data that .*e.json names, .*call ubcn '
                                         'report where ubcn evaluate was called'):
        add_pictures(evaluation_report(evaluation), evaluation, Steps(fake_engine, 2), 1)
