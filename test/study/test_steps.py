# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study steps`: every step against the truth, as `ubcn evaluate` measures it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from ubcn_ros.cli.study_steps import steps
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.validation_rain import rainy_view
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.study.print_cells import ErrorMap, LabelMap, Picture, WrongLabels
from ubcn_ros.study.print_grid import ColorKey, Scale
from ubcn_ros.study.shown_image import FigureView
from ubcn_ros.study.steps import show_steps, steps_statements

pytestmark = pytest.mark.usefixtures('one_thread')


def test_the_figures_are_those_of_evaluate_at_every_step(street, tiny_model, tmp_path, reported):
    result = CliRunner().invoke(steps, [
        '--data', str(street), '--model', str(tiny_model), '--device', 'cpu', '--image', 'A_1',
        '--rate', '150', '--out', str(tmp_path), '--width', '3.3'])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / 'steps.json').read_text())
    (image,) = record['images']
    scenes = open_data([street]).split('val')
    measured = measure_scenes(LoadedModel.load(tiny_model, 'cpu'), scenes, [1], [150.0], 3)
    entry = measured['rates']['150']
    assert image['input']['psnr'] == pytest.approx(entry['input']['psnr'])
    assert image['input']['miou'] == pytest.approx(entry['segmentation']['own']['miou'])
    for step, expected in zip(image['steps'], entry['steps'], strict=True):
        for key in ('t', 'psnr', 'ssim', 'miou'):
            assert step[key] == pytest.approx(expected[key]), key
    assert record['pictures'] == ['steps.png', 'steps.pdf'] and [*record['models']] == ['UBCN']
    assert 'A_1, step 3' in reported(tmp_path)[0]
    assert 'Each step derains the shown images further' in result.output


def test_rows_are_input_truth_and_steps_and_columns_those_of_each_image(street, tiny_model):
    scenes = open_data([street]).split('val')
    grid, results = show_steps(LoadedModel.load(tiny_model, 'cpu'), scenes, [0, 2], 250.0,
                               FigureView(iterations=2, zooms=((4, 4, 20, 10),)), lambda: None)
    assert [row.label for row in grid.rows] == ['input', 'ground truth', 'step 1', 'step 2']
    assert grid.column_groups == [('A_0', 4), ('A_2', 4)]
    for row in (grid.rows[0], *grid.rows[2:]):
        assert [type(cell) for cell in row.cells] == [
            Picture, LabelMap, ErrorMap, WrongLabels] * 2
        assert all(cell.zoom == (4, 4, 20, 10) for cell in row.cells)
    assert [type(cell) for cell in grid.rows[1].cells] == [Picture, LabelMap, Scale, ColorKey] * 2
    for place, index in enumerate((0, 2)):
        image, labels, _, _ = scenes.scenes[index].read()
        rainy = rainy_view(image, labels, scenes, 250.0, index)
        shown, mask, error, wrong = grid.rows[0].cells[4 * place:][:4]
        assert (shown.image == rainy).all()
        assert error.error == pytest.approx(np.abs(rainy.astype(float) - image).mean(2))
        assert (wrong.wrong == ((mask.labels != labels) & (labels != 255))).all()
        figures = results['images'][place]['input']
        assert figures['error'] == pytest.approx(error.error.mean())
        assert figures['wrong'] == pytest.approx(100 * (mask.labels != labels)[labels != 255]
                                                 .mean())
        assert mask.caption == f'mIoU {figures["miou"]:.1f} %'


def test_all_error_maps_have_one_scale_that_few_pixels_are_above(street, tiny_model):
    scenes = open_data([street]).split('val')
    grid, results = show_steps(LoadedModel.load(tiny_model, 'cpu'), scenes, [0, 1], 250.0,
                               FigureView(iterations=1), lambda: None)
    maps = [cell for row in grid.rows for cell in row.cells if isinstance(cell, ErrorMap)]
    assert {cell.highest for cell in maps} == {results['error_scale']} == {
        cell.highest for cell in grid.rows[1].cells if isinstance(cell, Scale)}
    assert max((cell.error > results['error_scale']).mean() for cell in maps) <= 0.02


def test_more_images_than_have_room_are_refused_before_the_work(street, tiny_model):
    result = CliRunner().invoke(steps, ['--data', str(street), '--model', str(tiny_model),
                                        '--limit', '3', '--width', '3'])
    assert result.exit_code == 1
    assert "'100.0 % wrong' has no room" in result.output


def test_a_step_that_is_not_known_leaves_the_claim_open():
    image = {'steps': [{'psnr': psnr, 'miou': miou}
                       for psnr, miou in ((20.0, 20.0), (21.0, 21.0), (23.0, None))]}
    derains, labels = steps_statements({'images': [image, image]})
    assert derains.holds is True
    assert labels.holds is None
    assert labels.found == ('mean change +1.00 from step 1 to 2 (points of mIoU, 2 images); not '
                            'known of every step')
