# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study methods`: what it shows is what `ubcn evaluate` measures of the same images."""

import hashlib
import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from ubcn_ros.cli.study_methods import methods
from ubcn_ros.data.mixture import open_data
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.study.methods import compare_methods, methods_statements, miou_text, psnr_text
from ubcn_ros.study.print_cells import LabelMap, Picture
from ubcn_ros.study.shown_image import FigureView, chosen_indices
from ubcn_ros.study.trained_baselines import load_baselines
from ubcn_ros.training.single_run import single_run

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def run(street, tiny_model, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(methods, [
            '--data', str(street), '--model', str(tiny_model), '--device', 'cpu',
            '--out', str(tmp_path / 'out'), '--iterations', '2', *map(str, arguments)])
    return run


def test_the_figures_are_those_of_evaluate_for_the_same_image_and_rate(
        street, tiny_model, some_baselines):
    ours = LoadedModel.load(tiny_model, 'cpu')
    theirs = load_baselines(some_baselines, 'samples', 'cpu', 'fp32')
    scenes = open_data([street]).split('val')
    _, results = compare_methods(ours, theirs, scenes, [2], [50.0, 250.0],
                                 FigureView(iterations=2), lambda: None)
    (image,) = results['images']
    assert (image['name'], image['rain_seed']) == ('A_2', 2)
    measured = measure_scenes(ours, scenes, [2], [50.0, 250.0], 2, baselines=theirs)
    assert image['clean']['miou'] == pytest.approx(measured['clean']['own']['miou'])
    for rate, entry in measured['rates'].items():
        expected = {'input': {**entry['input'], 'miou': entry['segmentation']['own']['miou']},
                    **{title: steps[0] for title, steps in entry['baselines'].items()},
                    'UBCN': entry['steps'][-1]}
        assert [*image['rates'][rate]] == ['input', 'DDN', 'RESCAN', 'UBCN']
        for title, figures in image['rates'][rate].items():
            assert figures == pytest.approx({key: expected[title][key] for key in figures}), title
            assert figures.keys() == {'psnr', 'ssim', 'miou'}


def test_the_record_names_files_settings_and_what_is_missing(run, some_baselines, tiny_model,
                                                             tmp_path, reported):
    result = run('--baselines', some_baselines, '--image', 'A_1', '--image', 'A_1', '--width', 4)
    assert result.exit_code == 0, result.output
    assert 'left out: PReNet, JORDER-E, RCDNet' in result.output
    assert 'leave residue in heavy rain' in result.output
    record = json.loads((tmp_path / 'out' / 'methods.json').read_text())
    assert record['missing'] == ['PReNet', 'JORDER-E', 'RCDNet']
    files = {'UBCN': tiny_model,
             'DDN': some_baselines / 'samples' / 'ddn' / 'baselines-ddn.safetensors',
             'RESCAN': some_baselines / 'samples' / 'rescan' / 'baselines-rescan.safetensors'}
    assert record['models'] == {title: {
        'name': path.stem, 'file': path.name,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest()} for title, path in files.items()}
    assert [image['name'] for image in record['images']] == ['A_1']
    assert record['settings']['rates'] == [50, 250] and record['settings']['iterations'] == 2
    assert record['settings']['rain'] == 'rendered' and record['settings']['budget'] == 'samples'
    assert record['settings']['baselines'] == str(some_baselines)
    assert record['pictures'] == ['methods.png', 'methods.pdf']
    assert all((tmp_path / 'out' / name).is_file() for name in record['pictures'])
    page, _ = reported(tmp_path / 'out')
    assert 'PReNet, JORDER-E and RCDNet in the figure' in page


def test_panels_are_in_the_order_of_their_headings_and_the_best_is_bold(
        street, tiny_model, some_baselines):
    ours = LoadedModel.load(tiny_model, 'cpu')
    theirs = load_baselines(some_baselines, 'samples', 'cpu', 'fp32')
    scenes = open_data([street]).split('val')
    grid, results = compare_methods(ours, theirs, scenes, [0, 1], [150.0],
                                    FigureView(iterations=1), lambda: None)
    assert grid.columns == ['input', 'DDN', 'RESCAN', 'UBCN', 'ground truth']
    assert [row.label for row in grid.rows] == ['150 mm/hr', ''] * 2
    for place, entry in enumerate(results['images']):
        images, masks = (grid.rows[2 * place + i].cells for i in (0, 1))
        figures = entry['rates']['150']
        assert [cell.caption for cell in images] == [
            *(psnr_text(figures[title]['psnr']) for title in grid.columns[:-1]), '']
        assert [cell.caption for cell in masks] == [
            *(miou_text(figures[title]['miou']) for title in grid.columns[:-1]), '']
        clean = scenes.scenes[place].read()
        assert (images[-1].image == clean.image).all() and isinstance(images[0], Picture)
        assert (masks[-1].labels == clean.labels).all() and isinstance(masks[0], LabelMap)
        methods = grid.columns[1:-1]
        assert [cell.bold for cell in images[1:-1]] == [
            figures[title]['psnr'] == max(figures[each]['psnr'] for each in methods)
            for title in methods]
        assert not images[0].bold and not images[-1].bold
    shown = {name for name, _ in grid.legend}
    occurring = np.unique([*(cell.labels for row in grid.rows[1::2] for cell in row.cells)])
    assert shown == {scenes.label_set.classes[i] if i < 255 else 'no label' for i in occurring}


def test_a_dry_image_has_no_finite_psnr_and_says_so(street, tiny_model):
    scenes = open_data([street]).split('val')
    grid, results = compare_methods(LoadedModel.load(tiny_model, 'cpu'), {}, scenes, [0], [0.0],
                                    FigureView(iterations=1), lambda: None)
    assert results['images'][0]['rates']['0']['input']['psnr'] == math.inf
    assert grid.rows[0].cells[0].caption == psnr_text(math.inf) == 'equal'


def test_a_method_that_leaves_a_dry_image_as_it_is_is_the_best(
        street, tiny_model, some_baselines):
    theirs = load_baselines(some_baselines, 'samples', 'cpu', 'fp32')
    for baseline in theirs.values():
        baseline.network.derain_first = lambda image: (image, None)
    scenes = open_data([street]).split('val')
    grid, _ = compare_methods(LoadedModel.load(tiny_model, 'cpu'), theirs, scenes, [0], [0.0],
                              FigureView(iterations=1), lambda: None)
    assert {title: cell.bold for title, cell in zip(
        grid.columns, grid.rows[0].cells, strict=True)} == {
        'input': False, 'DDN': True, 'RESCAN': True, 'UBCN': False, 'ground truth': False}


def test_painted_rain_and_sizes_are_those_of_evaluate_too(street, tiny_model):
    ours = LoadedModel.load(tiny_model, 'cpu')
    scenes = open_data([street]).split('val')
    view = FigureView(1, (64, 48), rain='painted')
    grid, results = compare_methods(ours, {}, scenes, [1], [250.0], view, lambda: None)
    assert [row.label for row in grid.rows] == ['as 250 mm/hr', ''], 'it has no rate of its own'
    measured = measure_scenes(ours, scenes, [1], [250.0], 1, size=(64, 48), rain='painted')
    assert results['images'][0]['rates']['250']['UBCN']['psnr'] == pytest.approx(
        measured['rates']['250']['steps'][0]['psnr'])


@pytest.mark.parametrize('arguments, said', [
    (('--image', 'B_7'), "camvid/val has no image 'B_7' with labels: its 3 images have"),
    (('--zoom', '90x60+20+10'), 'the zoom 90x60+20+10 is not inside of A_0'),
    (('--zoom', '33x6+2+1'), 'the zoom 33x6+2+1 is more than a third of A_0'),
    (('--zoom', '33x6+2+1', '--size', '64x64'), 'A_0, of whose 96x64 pixels --size makes 64x64'),
    (('--zoom', '9x6+2+1', '--zoom', '9x6+3+1', '--limit', 3), '2 zooms for 3 images'),
    (('--zoom', '90x60'), "'90x60' is not WIDTHxHEIGHT+X+Y"),
    (('--width', '1'), 'has no room'),
    (('--image', 'A_0', '--stride', 2, '--limit', 1), 'leave out --stride, --limit'),
    (('--split', 'train'), "no split 'train'"),
    (('--baselines', 'nowhere'), "'nowhere' does not exist")])
def test_a_mistake_is_told_in_a_line(run, some_baselines, arguments, said):
    result = run('--baselines', some_baselines, *arguments)
    assert result.exit_code and said in result.output
    assert result.output.rstrip().splitlines()[-1].startswith('Error: ')


@pytest.mark.parametrize('width, room', [(1.7, True), (1.6, False)])
def test_whether_columns_have_room_is_known_before_the_work(street, tiny_model, width, room):
    scenes, done = open_data([street]).split('val'), []
    view = FigureView(iterations=1, width=width)
    try:
        grid, _ = compare_methods(LoadedModel.load(tiny_model, 'cpu'), {}, scenes, [0], [50.0],
                                  view, lambda: done.append(1))
    except ValueError as error:
        assert not room and 'has no room' in str(error) and not done
    else:
        assert room and grid.figure()


def test_a_psnr_that_is_not_a_number_is_passed_over():
    figures = [{'psnr': psnr, 'ssim': psnr, 'miou': None} for psnr in (20.0, None, 21.0, 25.0)]
    found = dict(zip(('input', 'DDN', 'RESCAN', 'UBCN'), figures, strict=True))
    (statement,) = methods_statements({'missing': [], 'images': [
        {'rates': {'50': found, '250': found}}]})
    assert '+4.00 dB at 50 mm/hr' in statement.found


def test_a_baseline_that_diverged_is_said_to_have(run, some_baselines, tmp_path):
    study = tmp_path / 'study'
    shutil.copytree(some_baselines, study)
    (study / 'baselines.json').write_text(json.dumps({'settings': {}, 'seconds': 0, 'trained': {
        'samples': {'prenet': {'error': 'the loss is nan'}, 'ddn': {'steps': []}}}}))
    result = run('--baselines', study, '--image', 'A_0', '--rates', 50, '--width', 4)
    assert 'left out: PReNet, whose training diverged' in result.output
    assert 'left out: JORDER-E, RCDNet, of which' in result.output
    record = json.loads((tmp_path / 'out' / 'methods.json').read_text())
    assert record['missing'] == ['PReNet', 'JORDER-E', 'RCDNet']
    assert record['diverged'] == ['PReNet']


def test_no_record_stays_beside_pictures_of_another_run(run, tmp_path, monkeypatch):
    arguments = ('--image', 'A_0', '--rates', 50, '--width', 4)
    assert run(*arguments).exit_code == 0
    record = tmp_path / 'out' / 'methods.json'

    def full(*_):
        assert not record.exists()
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr('ubcn_ros.study.print_grid.save_figure', full)
    assert record.exists() and run(*arguments).exit_code == 1 and not record.exists()


def test_a_folder_that_another_run_writes_to_is_left_to_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(single_run.__wrapped__, '__defaults__', (0.0,))
    with single_run(tmp_path / 'out'):
        result = run('--image', 'A_0', '--rates', 50, '--width', 4)
    assert result.exit_code == 1 and 'another run' in result.output


def test_two_files_of_a_baseline_are_refused(some_baselines, tmp_path):
    place = tmp_path / 'samples' / 'ddn'
    place.mkdir(parents=True)
    for name in ('a', 'b'):
        (place / f'{name}.safetensors').touch()
    with pytest.raises(ValueError, match='has 2 model files: leave the one that is meant'):
        load_baselines(tmp_path, 'samples', 'cpu', 'fp32')


def test_a_ubcn_of_the_same_budget_is_pointed_at(run, some_baselines, tiny_model, tmp_path):
    study = tmp_path / 'study'
    shutil.copytree(some_baselines, study)
    (study / 'samples' / 'ubcn').mkdir()
    fair = study / 'samples' / 'ubcn' / 'baselines-ubcn.safetensors'
    shutil.copy(tiny_model, fair)
    arguments = ('--baselines', study, '--image', 'A_0', '--rates', 50, '--width', 4)
    assert f'another budget: --model {fair} had the same' in run(*arguments).output
    assert 'another budget' not in run(*arguments, '--model', fair).output


def test_images_are_spread_over_the_split_unless_a_stride_is_given(street):
    scenes = open_data([street]).split('val')
    assert chosen_indices(scenes, (), None, 1) == [0]
    assert chosen_indices(scenes, (), None, 3) == [0, 1, 2]
    assert chosen_indices(scenes, (), 2, 5) == [0, 2]
    assert chosen_indices(scenes, ('A_2', 'A_0'), None, 1) == [2, 0]
    many = SimpleNamespace(scenes=[SimpleNamespace(name=str(n), labelled=True)
                                   for n in range(21)])
    assert chosen_indices(many, (), None, 12) == [0, 1, 3, 5, 7, 8, 10, 12, 14, 15, 17, 19]
    assert chosen_indices(many, (), None, 99) == [*range(21)]


def test_scenes_that_share_a_name_are_shown_each():
    """As in two cities of the layout of Cityscapes may be; a name means the first."""
    scenes = SimpleNamespace(name='two', scenes=[SimpleNamespace(name=name, labelled=True)
                                                 for name in ('a', 'b', 'a', 'b')])
    assert chosen_indices(scenes, (), None, 4) == [0, 1, 2, 3]
    assert chosen_indices(scenes, (), 2, 4) == [0, 2]
    assert chosen_indices(scenes, ('b', 'a'), None, 4) == [1, 0]
