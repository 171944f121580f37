# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study networks` from models to its table, added to, and refused, in small."""

import json
import shutil
from dataclasses import replace

import pytest
from camvid_folder import stripes, write_scenes
from click.testing import CliRunner

from ubcn_ros.cli.study_networks import networks
from ubcn_ros.data.mixture import open_data
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.study.parameters import megabytes
from ubcn_ros.study.report.assemble import study_text
from ubcn_ros.study.results_file import read_results

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Folder in CamVid's layout, with two images to measure."""
    return write_scenes(tmp_path_factory.mktemp('study') / 'camvid', 'val', 'A_0', 'A_1')


@pytest.fixture
def run(root, tmp_path):
    """Function that runs the command on models."""
    def ran(*models, more=()):
        return CliRunner().invoke(networks, [
            *(part for model in models for part in ('--model', str(model))), '--data', str(root),
            '--out', str(tmp_path / 'out'), '--device', 'cpu', '--iterations', '2',
            '--rates', '0,150', *map(str, more),
            *(() if '--frames' in more else ('--frames', '1', '--size', '64x48'))])
    return ran


def read(tmp_path):
    return json.loads((tmp_path / 'out' / 'networks.json').read_text())


def test_models_are_compared_and_may_be_added(run, root, tiny_model, rain_model, tmp_path,
                                              reported):
    first = run(tiny_model, more=('--frames', '0', '--workers', '1'))
    assert first.exit_code == 0, first.output
    before = read(tmp_path)
    both = run(tiny_model, rain_model)
    assert both.exit_code == 0, both.output
    assert 'measuring rain' in both.output and 'measuring tiny' not in both.output
    results = read(tmp_path)
    assert results['networks']['tiny'] == before['networks']['tiny']
    assert [*results['networks']] == ['tiny', 'rain']
    (where,) = results['times']
    (timed,) = results['times'][where].values()
    assert timed.keys() == {'tiny, T = 2', 'rain, T = 2'}
    for path in (tiny_model, rain_model):
        row, info = results['networks'][path.stem], load_model(path)[1]
        assert row['sha256'] == info.sha256 and row['segmentation'] == info.config.segmentation
        assert megabytes(row['parameters']) in both.output
        measured = measure_scenes(LoadedModel.load(path, 'cpu'),
                                  open_data([root]).split('val'), range(2), [0, 150], 2)['rates']
        for rate, entry in measured.items():
            assert row['alone'][rate] == entry['segmentation']['own']['miou']
            for step, expected in zip(row['steps'], entry['steps'], strict=True):
                assert {**step[rate]} == {name: expected[name] for name in step[rate]}
    for expected in ('rainy image', '150 mm/hr: PSNR dB', f'{where} 64x48, fp32: s',
                     "The paper's table 4: 13.40 + 0.40 + 177.60 MB"):
        assert expected in both.output
    path = tmp_path / 'out' / 'networks.json'
    assert study_text(path, read_results(path)) in both.output
    page, _ = reported(tmp_path / 'out')
    assert 'rain, T = 2' in page and 'Step 2 derains and labels better than step 1' in page


def test_models_are_measured_in_the_rain_that_is_chosen(run, root, tiny_model, tmp_path):
    assert run(tiny_model, more=('--frames', '0', '--rain', 'painted')).exit_code == 0
    measured = measure_scenes(LoadedModel.load(tiny_model, 'cpu'),
                              open_data([root]).split('val'), range(2), [150], 1, rain='painted')
    results = read(tmp_path)
    assert results['settings']['rain'] == 'painted'
    assert results['input']['150'] == measured['rates']['150']['input']
    refused = run(tiny_model)
    assert refused.exit_code == 1 and 'rain: painted before, rendered now' in refused.output


def test_figures_of_other_labels_are_refused(run, root, tiny_model, tmp_path):
    assert run(tiny_model, more=('--frames', '0')).exit_code == 0
    other = write_scenes(tmp_path / 'camvid', 'val', 'A_0', 'A_1', labels=stripes(0, 3))
    mapped = tmp_path / 'camvid.yaml'
    mapped.write_text(f'{{path: {root}, val: val/images, masks_dir: labels, '
                      'names: [Sky, Building], label_mapping: {0: Sky, 1: Building, 3: Sky}}')
    for data, said in ((other, 'files.1: '), (mapped, 'labels.1.3: Road before, Sky')):
        result = run(tiny_model, more=('--frames', '0', '--data', str(data)))
        assert result.exit_code == 1 and 'of a study with other settings' in result.output
        assert said in result.output and 'choose another --out' in result.output


def test_a_broken_image_is_told_before_the_work(run, root, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr('ubcn_ros.study.networks.measure_scenes', None)  # not called
    shutil.copytree(root, tmp_path / 'cut')
    (tmp_path / 'cut/val/images/A_1.png').write_bytes(b'')
    done = run(tiny_model, more=('--data', tmp_path / 'cut'))
    assert done.exit_code == 1 and '1 of 2 images cannot be measured' in done.output, done.output


def test_what_does_not_belong_there_is_refused(run, tiny_model, rain_model, partial_model,
                                               tmp_path):
    assert run(tiny_model, more=('--frames', '0', '--limit', '1')).exit_code == 0
    network, info = load_model(tiny_model)
    names = tuple(f'class {i}' for i in range(len(info.config.label_set.classes)))
    network.config = replace(network.config, label_set=replace(info.config.label_set,
                                                               classes=names))
    other_classes = tmp_path / 'numbers.safetensors'
    save_model(other_classes, network, info.metadata)
    for folder, source in (('same', tiny_model), ('other', rain_model)):
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder / 'tiny.safetensors')
    for models, more, said in (
            ((tiny_model,), ('--limit', '2'), 'limit: 1 before, 2 now'),
            ((tmp_path / 'other' / 'tiny.safetensors',), ('--limit', '1'),
             'figures of another model named tiny'),
            ((tiny_model, tmp_path / 'same' / 'tiny.safetensors'), ('--limit', '1'),
             'rename one of the files'),
            ((tiny_model, other_classes), ('--limit', '1'), 'choose a model trained on these'),
            ((partial_model,), ('--limit', '1'), 'derain')):
        result = run(*models, more=('--frames', '0', *more))
        assert result.exit_code == 1 and said in result.output, result.output
        assert 'Traceback' not in result.output
    refused = run(partial_model, more=('--out', tmp_path / 'new' / 'out'))
    assert refused.exit_code == 1 and not (tmp_path / 'new').exists()
    path = tmp_path / 'out' / 'networks.json'
    results = read(tmp_path)
    for damage in ({'networks': [1]}, {'networks': {'a': 3}}, {'input': 'x'}):
        path.write_text(json.dumps({**results, **damage}))
        result = run(tiny_model, more=('--frames', '0', '--limit', '1'))
        assert result.exit_code == 1 and '`ubcn study networks` writes it' in result.output


def test_figures_of_another_precision_that_auto_stands_for_are_refused(run, tiny_model, tmp_path,
                                                                       monkeypatch):
    more = ('--frames', '0', '--limit', '1', '--precision', 'auto')
    monkeypatch.setattr('ubcn_ros.runtime.device.cpu_computes_bf16', lambda: False)
    assert run(tiny_model, more=more).exit_code == 0
    assert read(tmp_path)['settings']['precision'] == 'fp32'
    monkeypatch.setattr('ubcn_ros.runtime.device.cpu_computes_bf16', lambda: True)
    refused = run(tiny_model, more=more)
    assert refused.exit_code == 1 and 'precision: fp32 before, bf16 now' in refused.output
