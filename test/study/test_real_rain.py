# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study real-rain`: photographs of any size, and what is told of them."""

import hashlib
import json
import re

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ubcn_ros.cli.study_real_rain import real_rain
from ubcn_ros.evaluation.measure import LoadedModel
from ubcn_ros.runtime import Engine
from ubcn_ros.study.real_rain import find_photographs, show_real_rain
from ubcn_ros.study.shown_image import FigureView

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """Folder of a wide and a tall photograph, and a file that is no image."""
    folder = tmp_path_factory.mktemp('photographs')
    for name, shape in (('tall', (80, 60, 3)), ('wide', (48, 96, 3))):
        image = np.random.default_rng(len(name)).integers(0, 255, shape).astype(np.uint8)
        assert cv2.imwrite(str(folder / f'{name}.png'), image)
    (folder / 'notes.txt').touch()
    return folder


def run(tiny_model, *arguments):
    return CliRunner().invoke(real_rain, ['--model', str(tiny_model), '--device', 'cpu',
                                          *map(str, arguments)])


def test_photographs_of_two_aspects_with_every_baseline_that_there_is(
        photographs, some_baselines, tiny_model, tmp_path, reported):
    result = run(tiny_model, photographs, '--baselines', some_baselines, '--out', tmp_path,
                 '--zoom', '18x14+2+2', '--width', 3.3)
    assert result.exit_code == 0, result.output
    assert 'left out: PReNet, JORDER-E, RCDNet' in result.output
    record = json.loads((tmp_path / 'real-rain.json').read_text())
    assert [*record['models']] == ['UBCN', 'DDN', 'RESCAN']
    assert record['settings']['baselines'] == str(some_baselines)
    assert [image['name'] for image in record['images']] == ['tall.png', 'wide.png']
    for image in record['images']:
        data = (photographs / image['name']).read_bytes()
        assert image['sha256'] == hashlib.sha256(data).hexdigest()
        assert [*image['change']] == ['DDN', 'RESCAN', 'UBCN']
    assert {path.name for path in tmp_path.iterdir()} == {
        'real-rain.json', 'real-rain.png', 'real-rain.pdf'}
    assert 'tall.png' in reported(tmp_path)[0]


def test_what_is_shown_is_what_the_engine_makes_of_it(photographs, tiny_model):
    path = photographs / 'wide.png'
    grid, _ = show_real_rain(LoadedModel.load(tiny_model, 'cpu'), {}, [path],
                             FigureView(iterations=2), lambda: None)
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    frame = Engine.load(tiny_model, device='cpu', precision='fp32')(image, iterations=2)
    pictures, masks = grid.rows[0].cells, grid.rows[1].cells
    assert (pictures[0].image == image).all()
    assert np.abs(pictures[1].image.astype(int) - frame.derained).max() <= 1
    assert (masks[1].labels == frame.labels).mean() > 0.999
    assert grid.columns == ['input', 'UBCN'] and grid.rows[0].label == 'wide'


@pytest.mark.parametrize('size, expected', [((48, 200), [48, 64]), ((500, 60), [45, 60]),
                                            ((60, 80), [60, 80]), ((500, 500), [60, 80])])
def test_larger_photographs_are_shrunk_in_their_aspect_and_others_stay(
        photographs, tiny_model, size, expected):
    _, results = show_real_rain(LoadedModel.load(tiny_model, 'cpu'), {},
                                [photographs / 'tall.png'], FigureView(1, size), lambda: None)
    assert results['images'][0]['size'] == expected


@pytest.mark.parametrize('width', [4000, 8000])
def test_a_panorama_that_the_size_leaves_no_rows_of_is_refused(tiny_model, tmp_path, width):
    assert cv2.imwrite(str(tmp_path / 'thin.png'), np.zeros((40, width, 3), np.uint8))
    with pytest.raises(ValueError, match=f'thin.png has {width}x40 pixels, of which --size 64x64 '
                                         'leaves 64x1: 32x32 are needed: give a larger --size'):
        show_real_rain(LoadedModel.load(tiny_model, 'cpu'), {}, [tmp_path / 'thin.png'],
                       FigureView(1, (64, 64)), lambda: None)


@pytest.mark.parametrize('zoom, size, text', [
    ((0, 0, 18, 4), (45, 80), 'the zoom 18x4+0+0 is more than a third of tall.png, of whose '
                              '60x80 pixels --size makes 45x60'),
    ((40, 0, 9, 4), (45, 80), 'the zoom 9x4+40+0 is not inside of tall.png, of whose 60x80'),
    ((0, 0, 30, 4), (500, 500), 'a third of tall.png, which has 60x80 pixels')])
def test_a_zoom_that_a_photograph_has_no_room_for_names_the_size_of_its_file(
        photographs, tiny_model, zoom, size, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        show_real_rain(LoadedModel.load(tiny_model, 'cpu'), {}, [photographs / 'tall.png'],
                       FigureView(1, size, (zoom,)), lambda: None)


def test_files_and_folders_are_taken_in_their_order(photographs):
    both = find_photographs([photographs], 1, None)
    assert [path.name for path in both] == ['tall.png', 'wide.png']
    assert find_photographs([both[1], photographs], 2, None) == [both[1], both[0]]
    assert find_photographs([photographs], 1, 1) == both[:1]


def test_photographs_that_are_named_are_all_shown(photographs):
    named = [photographs / 'wide.png', photographs / 'tall.png'] * 3
    assert find_photographs(named, 2, 4) == named
    assert find_photographs([*named, photographs], 1, 1)[6:] == [photographs / 'tall.png']


def test_what_is_no_photograph_is_told_in_a_line(photographs, tiny_model, tmp_path):
    empty = tmp_path / 'empty'
    empty.mkdir()
    for source, said in ((empty, 'holds no images'), (photographs / 'notes.txt', 'notes.txt'),
                         (tmp_path / 'none.png', 'does not exist')):
        result = run(tiny_model, source, '--out', tmp_path / 'out')
        assert result.exit_code and said in result.output
        assert result.output.rstrip().splitlines()[-1].startswith('Error: ')
    assert not (tmp_path / 'out').exists()
