# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The file of a study: begun, continued, and refused."""

import math
from contextlib import nullcontext

import pytest

from ubcn_ros.study.results_file import StudyResults, open_results, read_results


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'study' / 'rain.json'


def test_a_study_goes_on_with_what_it_found(path):
    first = open_results(path, 'ubcn a', {'rates': (50, 150)}, {'trained': {}, 'times': {}})
    assert not path.exists(), 'nothing was found yet'
    assert first == {'command': 'ubcn a', 'settings': {'rates': [50, 150]}, 'seconds': 0,
                     'trained': {}, 'times': {}}
    first['trained']['idm'] = 1.5
    first.save(path)
    again = open_results(path, 'ubcn b', {'rates': (50, 150)}, {'trained': {}, 'times': {}})
    assert again == first == read_results(path)


def test_the_psnr_of_equal_images_is_infinite_again(path):
    first = open_results(path, '', {}, {'steps': []})
    first['steps'] = [{'psnr': math.inf, 'ssim': 1.0, 'miou': None}]
    first.save(path)
    assert 'Infinity' not in path.read_text()
    assert read_results(path)['steps'] == first['steps']
    first['steps'] = [{'psnr': math.nan, 'ssim': math.nan}]
    first.save(path)
    assert read_results(path)['steps'] == [{'psnr': None, 'ssim': None}]


def test_the_time_of_all_runs_is_counted(path, monkeypatch):
    clock = 100.0
    monkeypatch.setattr('time.monotonic', lambda: clock)
    for expected in (7.0, 14.0):
        study = open_results(path, '', {}, {})
        clock += 3
        study.save(path)
        clock += 4
        study.save(path)
        clock += 50  # nothing was found in these
        assert read_results(path)['seconds'] == expected


BEGUN = {'data': ['camvid'], 'files': {'camvid': 'ab12'}, 'scenes': 'camvid/val, 3 scenes cd34',
         'label_set': {'name': 'camvid', 'classes': ['Sky'], 'colors': [[1, 2, 3]]},
         'labels': {'1 camvid': {'0': 'Sky'}}}


@pytest.mark.parametrize('changed, said', [
    ({'data': ['mine'], 'files': {'mine': 'ab12'}, 'labels': {'1 mine': {'0': 'Sky'}},
      'scenes': 'mine/val, 3 scenes cd34',
      'label_set': {'name': 'mine', 'classes': ['Sky'], 'colors': [[9, 9, 9]]}}, None),
    ({'files': {'camvid': 'ef56'}}, 'files.1: ab12 before, ef56 now'),
    ({'scenes': 'camvid/val, 3 scenes ef56'}, 'scenes: 3 scenes cd34 before, 3 scenes ef56 now'),
    ({'labels': {'1 camvid': {'0': 'Road'}}}, 'labels.1.0: Sky before, Road now'),
    ({'label_set': {**BEGUN['label_set'], 'classes': ['Road']}}, 'label_set.classes: ')])
def test_names_and_colours_of_data_change_no_figures(path, changed, said):
    open_results(path, 'ubcn', BEGUN, {}).save(path)
    with nullcontext() if said is None else pytest.raises(ValueError, match=said):
        open_results(path, 'ubcn', {**BEGUN, **changed}, {})


def test_what_was_not_known_then_differs(path):
    open_results(path, 'ubcn', {**BEGUN, 'files': None, 'scenes': None}, {}).save(path)
    with pytest.raises(ValueError, match='files: .*scenes: .*choose another --out'):
        open_results(path, 'ubcn', BEGUN, {})


def test_other_settings_are_refused_by_name(path):
    open_results(path, '', {'recipe': {'seed': 1, 'batch': 8}, 'limit': 2}, {}).save(path)
    with pytest.raises(ValueError, match=r'rain\.json.*recipe\.seed: 1 before, 3 now; .*limit: 2 '
                                         'before, None now: choose another --out'):
        open_results(path, '', {'recipe': {'seed': 3, 'batch': 8}}, {})


@pytest.mark.parametrize(('text', 'complaint'), [
    ('{"settings"', 'is not JSON'), ('[]', 'is not the results'), ('{}', 'is not the results'),
    ('{"settings": 3}', 'is not the results'), ('\xff', 'is not JSON'),
    ('{"settings": {}, "seconds": "x"}', 'is not the results'),
    ('{"settings": {}}', 'is not the results')])
def test_another_file_is_said_with_its_name(path, text, complaint):
    path.parent.mkdir()
    path.write_text(text, 'latin-1')
    for opening in (lambda: read_results(path), lambda: open_results(path, '', {}, {})):
        with pytest.raises(ValueError, match=rf'rain\.json {complaint}'):
            opening()


@pytest.mark.parametrize('found', [{'trained': []}, {'trained': {'idm': {}}},
                                   {'trained': {'idm': 3}}, {'trained': {'idm': {'psnr': 'x'}}}])
def test_figures_that_the_study_cannot_read_are_said_before_the_work(path, found):
    def read(results):
        return [float(row['psnr']) for row in results['trained'].values()]
    StudyResults({'command': '', 'settings': {}, **found}).save(path)
    with pytest.raises(ValueError, match=r'rain\.json is not as .*rain` writes it .*move it away'):
        open_results(path, '', {}, {'trained': {}}, read)
    StudyResults({'command': '', 'settings': {}, 'trained': {'idm': {'psnr': 1}}}).save(path)
    assert open_results(path, '', {}, {'trained': {}}, read)['trained'] == {'idm': {'psnr': 1}}
