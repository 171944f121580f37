# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study degradations` from its data to its figures, stopped, added to and refused."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from camvid_folder import stripes, write_scenes
from click.testing import CliRunner
from lightning.fabric import Fabric

from ubcn_ros.cli.study_degradations import degradations
from ubcn_ros.data.check.check import check_data
from ubcn_ros.data.degradations import Degradation
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.validation_rain import rainy_view
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.study import degradations as degradation_study
from ubcn_ros.study.degradations import DegradationStudy, degraded_scene, tables_of
from ubcn_ros.study.report.assemble import study_report
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.run import Run
from ubcn_ros.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures('one_thread')

TINY = {'preset': 'light', 'overrides': {
    'veil': None, 'derain': {'channels': 4, 'blocks': 1},
    'attention': {'channels': 4, 'blocks': 1, 'veil_channels': 0},
    'segmentation': 'small_segmentation:SmallSegmentation'}}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Folder in CamVid's layout, and a recipe beside it."""
    root = tmp_path_factory.mktemp('study')
    write_scenes(root / 'camvid', 'train', 'A_0', 'A_1', seed=9)
    write_scenes(root / 'camvid', 'val', 'A_0', 'A_1', 'A_2')
    (root / 'tiny.yaml').write_text(yaml.safe_dump({
        'name': 'tiny', 'seed': 7, 'model': TINY, 'data': {'validation_images': 0},
        'stages': {'adapt': {'optimizer_steps': 2, 'batch': 2, 'adversarial_weight': 0,
                             'save_every': 1,
                             'samples': {'on_device': True, 'crop': [32, 32],
                                         'rain_probability': 0}}}}))
    return root


def run(root, out, *arguments):
    return CliRunner().invoke(degradations, [
        '--recipe', str(root / 'tiny.yaml'), '--data', str(root / 'camvid'), '--out', str(out),
        '--accelerator', 'cpu', '--precision', '32-true', '--workers', '0',
        *map(str, arguments)])


@pytest.fixture
def study(root, tmp_path, fabric):
    """Function that makes a study of the tiny recipe."""
    def made(**changes):
        values = {'data': open_data([root / 'camvid']), 'kinds': ['rain'],
                  'out': tmp_path / 'out', 'workers': 0, 'limit': 1, 'seeds': [1],
                  'stride': 1, 'command': '', 'say': lambda _text: None,
                  'config': TrainConfig.load(root / 'tiny.yaml'), 'fabric': fabric, **changes}
        return DegradationStudy(fingerprints=check_data(values['data']).fingerprints, **values)
    return made


def test_from_data_to_figures_stopped_and_nothing_is_done_twice(root, tmp_path, monkeypatch,
                                                               reported):
    out, steps = tmp_path / 'out', []
    original = Trainer.train_step

    def stopped(self, *arguments):
        steps.append(self.optimizer_step)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return original(self, *arguments)
    monkeypatch.setattr(Trainer, 'train_step', stopped)
    monkeypatch.setattr('ubcn_ros.study.print_grid.DPI', 20)
    assert run(root, out, '--kind', 'haze').exit_code == 130
    assert steps == [0, 1] * 3
    first = run(root, out, '--kind', 'haze')
    assert first.exit_code == 0, first.output
    assert steps == [0, 1] * 3 + [1, 0, 1], 'from its checkpoint'
    results = json.loads((out / 'degradations.json').read_text())
    assert results['data']['camvid']['scenes'].startswith('camvid/val, 3 scenes')
    rows = results['data']['camvid']['miou']['haze']
    assert [*rows] == ['0', '0.005', '0.01', '0.03']
    for row in rows.values():
        assert [*row] == ['1'] and [*row['1']] == [*rows]
        assert all(0 <= value <= 100 for value in row['1'].values())
    for expected in ('haze, 1/m', "paper's: 0", 'Training at the level', '36 are not measured',
                     'Rows of rain and pepper fall with the level of the test\n           not '
                     'measured; ', 'wrote'):
        assert expected in first.output
    assert {path.name for path in out.glob('*.p*')} == {
        f'{name}-camvid.{kind}' for name in ('heat-maps', 'curves') for kind in ('png', 'pdf')}

    # the figures are those that there are
    monkeypatch.setattr('ubcn_ros.study.print_grid.save_figure', lambda *_: [])
    again = run(root, out, '--kind', 'haze')
    assert again.exit_code == 0 and 'training tiny' not in again.output
    assert len(steps) == 9
    assert json.loads((out / 'degradations.json').read_text()) == results
    page, (section,) = reported(out)
    assert 'haze, 1/m: mIoU, %' in page
    assert section.blocks[0].path == out / 'heat-maps-camvid.png'
    assert section.missing[0][0].startswith(
        'Tests on camvid, 16 of rain with seed 1, 16 of pepper with seed 1 and 16 of gaussian')
    other = run(root, out, '--kind', 'haze', '--steps', 3)
    assert other.exit_code == 1
    assert 'optimizer_steps: 2 before, 3 now: choose another --out' in other.output


@pytest.fixture
def trained(monkeypatch, tiny_model):
    """Trainings that take no time, as they are asked for."""
    asked = []

    def train(run, fabric, stages, workers):
        asked.append((run.config.name.removeprefix('tiny-'), run.config.seed, stages))
        network, info = load_model(tiny_model)
        save_model(run.files.result, network, info.metadata)
    monkeypatch.setattr(degradation_study, 'train', train)
    monkeypatch.setattr(Run, 'plan', lambda self, resume: (
        [] if self.files.result.is_file() else ['adapt']))
    return asked


def test_the_pictures_are_there_where_nothing_can_be_printed(root, tmp_path, trained, unheard,
                                                             monkeypatch):
    monkeypatch.setattr('ubcn_ros.study.print_grid.DPI', 20)
    done = run(root, tmp_path / 'out', '--kind', 'haze')
    assert done.exit_code == 1 and 'training tiny' in done.stderr
    assert len([*(tmp_path / 'out').glob('*.p*')]) == 4


def test_a_study_stopped_in_its_first_training_refuses_other_settings(root, tmp_path,
                                                                      monkeypatch):
    def stopped(self, *arguments):
        if self.optimizer_step:
            raise KeyboardInterrupt
        return original(self, *arguments)
    original = Trainer.train_step
    monkeypatch.setattr(Trainer, 'train_step', stopped)
    assert run(root, tmp_path / 'out', '--kind', 'haze').exit_code == 130
    monkeypatch.undo()
    other = run(root, tmp_path / 'out', '--kind', 'haze', '--steps', 3)
    assert other.exit_code == 1 and '--overwrite' not in other.output
    assert 'optimizer_steps: 2 before, 3 now: choose another --out' in other.output
    section = study_report([tmp_path / 'out'], '').sections[0]
    assert {each.holds for each in section.statements} == {None}, 'nothing is found, nor an error'
    (tmp_path / 'out' / 'degradations.json').unlink()
    other = run(root, tmp_path / 'out', '--kind', 'haze', '--steps', 3)
    folder = tmp_path / 'out/camvid/seed-1/tiny-clean'
    assert f'for a study choose another --out, or remove {folder}\n' in other.output


def test_other_kinds_and_seeds_are_added(study, trained):
    def stopped(text):
        if text.startswith('training tiny-rain-150'):
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        study(say=stopped).train()
    begun = json.loads(json.dumps(study().found['miou']))
    assert [*begun['rain']] == ['0', '50']
    study(seeds=[1, 3]).train()
    study(kinds=['rain', 'gaussian']).train()
    assert [(name, seed) for name, seed, _ in trained] == [
        ('clean', 1), ('rain-50', 1), ('rain-150', 1), ('rain-250', 1), ('clean', 3),
        ('rain-50', 3), ('rain-150', 3), ('rain-250', 3), ('gaussian-30', 1), ('gaussian-50', 1),
        ('gaussian-70', 1)], 'the clean one once a seed'
    found = study().found['miou']
    assert all([*row] == ['1', '3'] for row in found['rain'].values())
    assert all(found['rain'][level]['1'] == row['1'] for level, row in begun['rain'].items())
    assert found['rain']['0']['1']['0'] == found['gaussian']['0']['1']['0']
    tables = tables_of(found)
    assert {kind: table.shape for kind, table in tables.items()} == {
        'rain': (2, 4, 4), 'gaussian': (1, 4, 4)}
    assert tables['rain'][1, 2, 3] == found['rain']['150']['3']['250']


def test_what_another_run_has_found_until_this_one_begins_is_kept(study, root, trained,
                                                                   monkeypatch, tmp_path):
    def waiting(out):
        study(kinds=['haze']).train()
        return nullcontext()
    monkeypatch.setattr('ubcn_ros.training.single_run.single_run', waiting)
    monkeypatch.setattr('ubcn_ros.study.print_grid.save_figure', lambda *_: [])
    result = run(root, tmp_path / 'out', '--kind', 'gaussian', '--limit', 1)
    assert result.exit_code == 0, result.output
    assert [*study().found['miou']] == ['haze', 'gaussian']


@pytest.mark.parametrize('damage', [
    [], {'camvid': []}, {'camvid': {'miou': {}}}, {'miou': 'x'}, {'miou': {'snow': {}}},
    {'miou': {'rain': {'50': [1]}}}, {'miou': {'rain': {'50': {'one': {}}}}},
    {'miou': {'rain': {'50': {'1': {'50': 'x'}}}}}])
def test_a_damaged_file_is_said(study, damage):
    one = study()
    one.results['data'] = {'camvid': {**one.found, **damage}} if 'miou' in damage else damage
    one.results.save(one.path)
    with pytest.raises(ValueError, match=r'degradations\.json is not as .* writes it'):
        study()


def test_networks_see_their_level_and_differ_by_it_and_by_seed_alone(study):
    one = study()
    configs = [one.trained_config(kind, level, seed) for kind, level, seed in (
        ('rain', 50, 1), ('haze', 0.01, 1), ('rain', 0, 2), ('haze', 0, 2))]
    samples = [config.stages['adapt'].samples for config in configs]
    assert samples[0].fixed_degradation == Degradation('rain', 50)
    assert samples[1].fixed_degradation == Degradation('haze', 0.01)
    assert samples[2].fixed_degradation is None and configs[2] == configs[3]
    assert len({config.name for config in configs}) == 3
    assert one.trained_config('rain', 50, 9) == replace(configs[0], seed=9)


def test_tests_are_those_of_evaluate_whatever_the_stride(study):
    second = study(limit=None, stride=2)
    assert [*second.indices] == [0, 2]
    assert second.found['scenes'].startswith('camvid/val, 2 scenes')
    noise = Degradation('gaussian', 30)
    images, labels = degraded_scene(second.scenes, [Degradation('rain', 150), noise], 2)
    frame = second.scenes.scenes[2].read()
    assert np.array_equal(labels, frame.labels)
    assert np.array_equal(images[0],
                          rainy_view(frame.image, frame.labels, second.scenes, 150, 2))
    assert np.array_equal(images[1], noise(frame.image, 2, None))


def test_a_training_that_diverges_is_said_and_the_others_go_on(study, trained,
                                                               monkeypatch):
    quick = degradation_study.train

    def diverging(run, *arguments):
        if run.config.name.endswith('rain-50'):
            raise FloatingPointError('the loss of adapt is nan')
        quick(run, *arguments)
    monkeypatch.setattr(degradation_study, 'train', diverging)
    said = []
    one = study(say=said.append)
    one.train()
    assert 'rain 50, seed 1: the loss of adapt is nan' in said
    rows = one.found['miou']['rain']
    assert not rows['50'] and rows['0'] and rows['250']
    assert np.isnan(tables_of(one.found['miou'])['rain'][0, 1]).all()


def test_a_training_that_diverged_is_not_tried_again(study, trained, monkeypatch):
    tried, quick = [], degradation_study.train

    def diverging(run, *arguments):
        tried.append(run.config.name)
        if run.config.name.endswith('clean'):
            raise FloatingPointError('the loss of adapt is nan')
        quick(run, *arguments)
    monkeypatch.setattr(degradation_study, 'train', diverging)
    for _ in range(2):
        said = []
        study(kinds=['haze', 'pepper'], say=said.append).train()
        assert said.count('clean, seed 1: the loss of adapt is nan') == 2
    assert len(tried) == len(set(tried)) == 7


def test_figures_of_other_labels_are_not_added_to_those_that_there_are(study, trained, tmp_path):
    one = study(kinds=['haze'])
    one.train()
    other = write_scenes(tmp_path / 'camvid', 'train', 'A_0', 'A_1', labels=stripes(0, 3), seed=9)
    write_scenes(other, 'val', 'A_0', 'A_1', 'A_2', labels=stripes(0, 3))
    changed = r'files\.1: \w+ before, \w+ now: choose another --out'
    for seed in (1, 2):
        with pytest.raises(ValueError, match=changed):
            study(kinds=['haze'], seeds=[seed], data=open_data([other]))


def test_figures_are_added_to_those_of_the_same_data_whatever_they_are_called(
        study, root, tmp_path):
    one = study()
    one.save()
    shutil.copytree(root / 'camvid', tmp_path / 'mine')
    other = study(data=open_data([tmp_path / 'mine']))
    assert other.data.sets[0].name == 'mine' and other.name == 'camvid'
    assert [*other.results['data']] == ['camvid']


def test_data_that_training_refuses_are_refused(root, tmp_path):
    for split in ('train', 'val'):  # the same image
        write_scenes(tmp_path / 'camvid', split, 'A_0')
    (tmp_path / 'tiny.yaml').write_bytes((root / 'tiny.yaml').read_bytes())
    result = run(tmp_path, tmp_path / 'out')
    assert result.exit_code == 1 and '1 image is in train, too' in result.output
    assert not list((tmp_path / 'out').glob('*.json'))


def test_where_every_training_diverges_that_is_said_with_the_remedy(root, trained, tmp_path,
                                                                    monkeypatch):
    def diverging(run, *_):
        raise FloatingPointError('the loss of adapt is nan')
    monkeypatch.setattr(degradation_study, 'train', diverging)
    result = run(root, tmp_path / 'out', '--kind', 'pepper')
    assert result.exit_code == 1 and 'pepper 30, seed 1: the loss of adapt is nan' in result.output
    assert result.output.splitlines()[-1] == (
        'Error: no training on camvid came to its end, all diverged as said above: give the '
        "recipe 'tiny' a lower lr, and choose another --out")


def test_other_settings_and_what_cannot_be_are_refused(study, root, tmp_path):
    one = study()
    one.results.save(one.path)
    with pytest.raises(ValueError, match='other settings: limit: 1 before, 2 now'):
        study(limit=2)
    half = Fabric(accelerator='cpu', devices=1, precision='bf16-mixed')
    with pytest.raises(ValueError, match='precision: 32-true before, bf16-mixed now'):
        study(fabric=half)
    (root / 'camvid' / 'val' / 'images' / 'A_0.png').rename(tmp_path / 'A_0.png')
    try:
        with pytest.raises(ValueError, match='of camvid: scenes: 1 sc'):
            study()
    finally:
        (tmp_path / 'A_0.png').rename(root / 'camvid' / 'val' / 'images' / 'A_0.png')
    assert cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((48, 64, 3), np.uint8))
    for split, said in (('train', 'has no split val: networks would be tested on what'),
                        ('val', 'has no labels to compare with')):
        (tmp_path / 'images' / split).mkdir(parents=True)
        shutil.copy(tmp_path / 'a.png', tmp_path / 'images' / split)
        with pytest.raises(ValueError, match=said):
            replace(one, data=open_data([tmp_path / 'images']), out=tmp_path / 'other')
    stage = one.config.stages['adapt']
    with pytest.raises(ValueError, match='has the stages derain: .*adapt alone'):
        study(config=replace(one.config, stages={'derain': stage}))
    with pytest.raises(ValueError, match="'tiny' has data.validation_images 3, .*: set it to 0"):
        study(config=replace(one.config, data=replace(one.config.data, validation_images=3)))
    with pytest.raises(ValueError, match='rain_probability is 1'):
        study(config=replace(one.config, stages={'adapt': replace(
            stage, samples=replace(stage.samples, rain_probability=1.0))}))
    refused = run(root, tmp_path / 'new' / 'out', '--recipe', 'light')
    assert refused.exit_code == 1 and 'adapt alone' in refused.output
    assert not (tmp_path / 'new').exists()
