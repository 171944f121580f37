# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import hashlib
import json
import math
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ubcn_ros.cli.evaluate import evaluate


def run(*arguments):
    return CliRunner().invoke(evaluate, [*map(str, arguments), '--device', 'cpu'])


def test_scenes_to_table_json_and_picture(tmp_path, tiny_model, identity_model, camvid_folder):
    found, picture = tmp_path / 'out' / 'report.json', tmp_path / 'out' / 'quality.png'
    result = run('--model', tiny_model, '--data', camvid_folder, '--iterations', 3, '--only', 'A',
                 '--rates', '0,150', '--stride', 2, '--clean-segmentation', identity_model,
                 '--rain-segmentation', tiny_model, '--baseline', identity_model, '--json', found,
                 '--picture', picture)
    assert result.exit_code == 0, result.output
    for expected in (f'tiny on {camvid_folder.name}/val, 2 images', 'T = 3', 'identity, T = 3',
                     'mIoU lost to rain', 'trained on rain', 'Building'):
        assert expected in result.output
    assert picture.stat().st_size > 1000
    report = json.loads(found.read_text())
    assert report['model'] == {'name': 'tiny', 'path': str(tiny_model), 'sha256':
                               hashlib.sha256(tiny_model.read_bytes()).hexdigest()}
    assert report['data']['images'] == ['A_0', 'A_2']
    assert report['data']['rain_seeds'] == [0, 2]
    assert report['segmentation_models'].keys() == {'clean', 'rain'}
    assert report['baseline_models'].keys() == {'identity'}
    assert report['command'].split()[0] == 'ubcn'
    assert (report['device'], report['precision'], report['iterations']) == ('cpu', 'fp32', 3)
    assert report['rates'].keys() == {'0', '150'}
    entry = report['rates']['150']
    assert entry['segmentation'].keys() == report['clean'].keys() == {'own', 'clean', 'rain'}
    assert [step['t'] for step in entry['steps']] == [1, 2, 3]
    assert entry['steps'][0].keys() == {'t', 'psnr', 'ssim', 'equal', 'miou', 'iou', 'ece',
                                        'accuracy', 'coverage'}
    assert 0 < report['figures']['ece_150']['value'] < 100
    assert entry['steps'][0]['iou'].keys() >= {'Sky', 'Bicyclist'}
    assert report['figures']['psnr_gain_150']['value'] == pytest.approx(
        entry['steps'][0]['psnr'] - entry['input']['psnr'])


def test_files_are_written_where_nothing_can_be_printed(tmp_path, tiny_model, camvid_folder,
                                                        unheard):
    found, picture = tmp_path / 'report.json', tmp_path / 'quality.png'
    result = run('--model', tiny_model, '--data', camvid_folder, '--iterations', 1, '--rates',
                 '150', '--limit', 1, '--json', found, '--picture', picture)
    assert result.exit_code == 1 and picture.exists()
    assert json.loads(found.read_text())['rates'].keys() == {'150'}
    result = run('--model', tiny_model, '--data', camvid_folder, '--iterations', 1, '--rates',
                 '150', '--limit', 1, '--size', '96x64', '--size', '144x96', '--json', found)
    assert result.exit_code == 1
    assert json.loads(found.read_text())['sizes'].keys() == {'96x64', '144x96'}


def test_two_runs_agree(tmp_path, tiny_model, camvid_folder):
    reports = []
    for name, workers in (('a.json', 0), ('b.json', 1)):
        result = run('--model', tiny_model, '--data', camvid_folder, '--iterations', 1,
                     '--rates', '50', '--limit', 1, '--workers', workers,
                     '--json', tmp_path / name)
        assert result.exit_code == 0, result.output
        reports.append(json.loads((tmp_path / name).read_text()))
    latencies = [report.pop('latency_ms')['50'] for report in reports]
    assert all(len(ms) == 1 and ms[0] > 0 for ms in latencies)
    assert reports[0] == reports[1]


def test_the_rain_may_be_painted(tmp_path, tiny_model, camvid_folder):
    found = {}
    for rain in ('painted', 'rendered'):
        result = run('--model', tiny_model, '--data', camvid_folder, '--iterations', 1,
                     '--rates', '0,150', '--limit', 1, '--rain', rain, '--json',
                     tmp_path / 'report.json')
        assert result.exit_code == 0, result.output
        found[rain] = json.loads((tmp_path / 'report.json').read_text())
        assert found[rain]['data']['rain'] == rain
    painted, rendered = (found[rain]['rates'] for rain in ('painted', 'rendered'))
    assert painted['0'] == rendered['0'] and painted['150']['input'] != rendered['150']['input']


def test_pairs(tmp_path, tiny_model, pairs_folder):
    found, picture = tmp_path / 'report.json', tmp_path / 'quality.svg'
    result = run('--model', tiny_model, '--data', pairs_folder,
                 '--iterations', 2, '--json', found, '--picture', picture)
    assert result.exit_code == 0, result.output
    assert 'tiny on drops/train, 2 images' in result.output
    report = json.loads(found.read_text())
    assert report['data']['images'] == ['001', '002']
    assert len(report['steps']) == 2
    assert report['figures'].keys() == {'psnr_gain_T1', 'psnr_gain_T2'}
    assert picture.read_text().lstrip().startswith('<?xml')


@pytest.mark.parametrize('arguments, expected', [
    (['--rates', '0,400'], '400 mm/hr is outside 0..300'),
    (['--split', 'train'], "no split 'train': choose one of val"),
    (['--only', 'Z'], 'no scene in')])
def test_errors_name_the_value_and_the_remedy(tiny_model, camvid_folder, arguments, expected):
    result = run('--model', tiny_model, '--data', camvid_folder, *arguments)
    assert result.exit_code != 0
    assert expected in ' '.join(result.output.split())
    assert 'Traceback' not in result.output


@pytest.mark.parametrize('ids, expected', [
    (np.full((48, 64), 12, np.uint8), 'A_1.png holds 12, which no class has'),
    (np.full((24, 32), 3, np.uint8), 'A_1.png is 32x24 but'),
    (np.zeros((48, 64, 3), np.uint8), 'A_1.png is a PNG (RGB, 8 bits)')])
def test_a_broken_label_file_ends_in_one_line(tmp_path, tiny_model, camvid_folder, ids, expected,
                                              monkeypatch):
    monkeypatch.setattr('ubcn_ros.evaluation.measure.measure_scenes', None)  # not called
    shutil.copytree(camvid_folder, tmp_path / 'data')
    cv2.imwrite(str(tmp_path / 'data/val/labels/A_1.png'), ids)
    result = run('--model', tiny_model, '--data', tmp_path / 'data', '--iterations', 1,
                 '--rates', '0')
    assert result.exit_code == 1 and expected in result.output.splitlines()[-1]


def test_turned_images_keep_their_labels(tmp_path, tiny_model, camvid_folder):
    shutil.copytree(camvid_folder, tmp_path / 'data')
    exif, figures = Image.Exif(), []
    for exif[0x0112] in (1, 3, 6):
        for path in (tmp_path / 'data/val/images').glob('*.png'):
            Image.open(path).save(path, exif=exif)
        result = run('--model', tiny_model, '--data', tmp_path / 'data', '--iterations', 1,
                     '--rates', '0', '--json', tmp_path / 'report.json')
        assert result.exit_code == 0, result.output
        figures.append(json.loads((tmp_path / 'report.json').read_text())['rates'])
    assert figures[0] == figures[1] == figures[2]


def test_untrained_parts_are_refused_where_they_are_used(tiny_model, partial_model, camvid_folder):
    common = ['--data', camvid_folder, '--iterations', 1, '--rates', '0', '--limit', 1]
    for arguments in (['--model', partial_model], ['--model', tiny_model, '--baseline',
                                                   partial_model]):
        result = run(*common, *arguments)
        assert result.exit_code == 1
        assert 'random numbers for derain and attention' in result.output.splitlines()[-1]
    result = run(*common, '--model', tiny_model, '--clean-segmentation', partial_model)
    assert result.exit_code == 0 and 'Warning' not in result.output
    result = run(*common, '--model', partial_model, '--allow-partial-model')
    assert result.exit_code == 0
    assert result.output.startswith('Warning: ') and 'derain and attention' in result.output


def test_what_cannot_be_measured_is_said(tmp_path, tiny_model, pairs_folder):
    result = run('--model', tiny_model, '--data', pairs_folder, '--clean-segmentation', 'x')
    assert result.exit_code == 2 and 'has no labels' in result.output
    result = run('--model', tiny_model, '--data', pairs_folder, '--rates', '0,50')
    assert result.exit_code == 2 and 'has rain of its own: leave out --rates' in result.output
    result = run('--model', tiny_model, '--data', pairs_folder / 'target')
    assert result.exit_code == 2
    assert f'train of {pairs_folder / "target"} has neither labels nor rain' in result.output
    result = run('--model', tiny_model, '--data', tmp_path)
    assert result.exit_code == 1 and 'no layout that is known' in result.output


@pytest.fixture
def own_set(tmp_path, camvid_folder):
    """YAML of the folder's frames under names that are the model's in part."""
    shutil.copytree(camvid_folder / 'val' / 'images', tmp_path / 'images')
    shutil.copytree(camvid_folder / 'val' / 'labels', tmp_path / 'masks')
    (tmp_path / 'own.yaml').write_text("""
val: images
names: {0: SKY, 1: 'house, or wall', 3: road}
class_mapping: {'house, or wall': [Building, Fence]}
""")
    return tmp_path / 'own.yaml'


def test_classes_of_the_same_names_or_mapped_are_measured(tmp_path, identity_model, own_set,
                                                          camvid_folder):
    reports = {}
    for name, data in (('own', own_set), ('camvid', camvid_folder)):
        result = run('--model', identity_model, '--data', data, '--iterations', 1, '--rates',
                     '0', '--json', tmp_path / 'report.json')
        assert result.exit_code == 0, result.output
        reports[name] = json.loads((tmp_path / 'report.json').read_text())['clean']['own']['iou']
    # which of the two classes of a group a pixel has is not known: they are left out
    assert reports['own']['Building'] is None and reports['own']['Sky'] is not None
    assert reports['camvid']['Building'] is not None
    assert reports['own'].keys() == reports['camvid'].keys()


def test_classes_that_the_model_lacks_are_listed(tiny_model, own_set):
    own_set.write_text(own_set.read_text().split('class_mapping')[0])
    result = run('--model', tiny_model, '--data', own_set)
    assert result.exit_code == 1
    assert (f'{own_set} has classes that the model {tiny_model} lacks: house, or wall. Say in '
            f'{own_set} which of ') in result.output
    assert "class_mapping: {'house, or wall': ignore}" in result.output


def test_sizes_are_measured_one_by_one(tmp_path, tiny_model, camvid_folder):
    common = ('--model', tiny_model, '--data', camvid_folder, '--iterations', 2, '--rates', 150,
              '--limit', 1)
    found = tmp_path / 'report.json'
    result = run(*common, '--size', '96x64', '--size', '144x96', '--processing-size', 40,
                 '--json', found)
    assert result.exit_code == 0, result.output
    assert all(f' at {size}, 1 image, ' in result.output for size in ('96x64', '144x96'))
    report = json.loads(found.read_text())
    assert report['processing_size'] == 40 and report['sizes'].keys() == {'96x64', '144x96'}
    steps = [report['sizes'][size]['rates']['150']['steps'][1]['psnr'] for size in report['sizes']]
    assert steps[0] != steps[1] and 'figures' in report['sizes']['96x64']
    # the same images at their own size, processed as they are
    native = run(*common, '--size', '96x64', '--processing-size', 0, '--json', found)
    assert native.exit_code == 0, native.output
    again = json.loads(found.read_text())['sizes']['96x64']
    assert again['rates']['150']['input'] == report['sizes']['96x64']['rates']['150']['input']
    assert again['rates']['150']['steps'][0]['psnr'] == pytest.approx(
        report['sizes']['96x64']['rates']['150']['steps'][0]['psnr'])  # IDM sees the whole image
    assert again['clean'] != report['sizes']['96x64']['clean']


def test_sizes_measured_before_one_that_fails_are_kept(tmp_path, tiny_model, camvid_folder,
                                                       monkeypatch):
    from ubcn_ros.evaluation import measure
    whole = measure.measure_scenes

    def no_memory(*given):
        if given[-3] == (144, 96):
            raise RuntimeError('CUDA out of memory')
        return whole(*given)

    monkeypatch.setattr(measure, 'measure_scenes', no_memory)
    found = tmp_path / 'report.json'
    result = run('--model', tiny_model, '--data', camvid_folder, '--iterations', 1, '--rates', 150,
                 '--limit', 1, '--size', '96x64', '--size', '144x96', '--json', found)
    assert result.exit_code == 1 and 'CUDA out of memory' in result.output
    assert json.loads(found.read_text())['sizes'].keys() == {'96x64'}


def test_convergence_says_how_many_steps_were_run(tmp_path, tiny_model, camvid_folder):
    common = ('--model', tiny_model, '--data', camvid_folder, '--iterations', 3, '--rates', 150,
              '--limit', 2, '--json', tmp_path / 'report.json')
    steps = {}
    for threshold in (0, 1e-9, 255):
        result = run(*common, '--convergence', threshold)
        assert result.exit_code == 0, result.output
        assert ('steps run' in result.output) == bool(threshold)
        report = json.loads((tmp_path / 'report.json').read_text())
        assert report['convergence'] == threshold
        steps[threshold] = report['rates']['150']['steps']
    assert [step.pop('iterations') for step in steps[1e-9]] == [1, 2, 3]
    assert steps[1e-9] == steps[0], 'none converged'
    assert [step.pop('iterations') for step in steps[255]] == [1, 1, 1]
    assert steps[255] == [{**steps[0][0], 't': t} for t in (1, 2, 3)], 'all after one step'


def test_what_a_model_tells_of_the_rain_is_measured_by_rate(tmp_path, rain_model, tiny_model,
                                                            camvid_folder):
    found, picture = tmp_path / 'report.json', tmp_path / 'quality.png'
    common = ('--data', camvid_folder, '--iterations', 1, '--rates', '0,150', '--json', found)
    result = run('--model', rain_model, *common, '--picture', picture)
    assert result.exit_code == 0, result.output
    for expected in ('estimated rain, medians', 'estimated mm/hr', 'error of the rain rate',
                     'dry frames estimated below 2 mm/hr', 'error of the visibility'):
        assert expected in result.output
    report = json.loads(found.read_text())
    entry = report['rates']['150']['rain']
    assert report['rates']['0']['rain']['rate_error'] is None
    assert report['figures']['rain_rate_150']['value'] == pytest.approx(entry['rate_error'])
    # the veil of validation rain: 0.38 of 0.312 R^0.67 per km, five per cent of the light are left
    assert entry['visibility_truth'] == pytest.approx(
        -math.log(0.05) / (0.38 * 0.312e-3 * 150 ** 0.67), rel=1e-3)
    assert cv2.imread(str(picture)).shape[1] > 2000  # with a panel of its own
    result = run('--model', tiny_model, *common)
    assert result.exit_code == 0 and 'of the rain' not in result.output
    assert 'rain' not in json.loads(found.read_text())['rates']['150']


def test_sizes_that_cannot_be_are_told(tmp_path, tiny_model, camvid_folder, pairs_folder):
    result = run('--model', tiny_model, '--data', pairs_folder, '--size', '96x64')
    assert result.exit_code == 2 and 'leave out --size' in result.output
    result = run('--model', tiny_model, '--data', camvid_folder, '--size', '96x64', '--size',
                 '64x64', '--picture', tmp_path / 'x.png')
    assert result.exit_code == 2 and 'a picture is of one size' in result.output


def test_annotations_are_not_overwritten(tmp_path, tiny_model, camvid_folder):
    pytest.importorskip('pycocotools')
    (tmp_path / 'A_0.png').write_bytes((camvid_folder / 'val/images/A_0.png').read_bytes())
    annotations = tmp_path / 'annotations.json'
    annotations.write_text(json.dumps({
        'images': [{'id': 1, 'file_name': 'A_0.png', 'height': 48, 'width': 64}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1,
                         'segmentation': [[0, 0, 9, 0, 9, 9, 0, 9]]}],
        'categories': [{'id': 1, 'name': 'Road'}]}))
    before = annotations.read_bytes()
    result = run('--model', tiny_model, '--data', tmp_path, '--json', annotations)
    assert result.exit_code == 2 and 'is a file of the data set' in result.output, result.output
    assert annotations.read_bytes() == before
