# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn model info`: what a file says, in words and as JSON, whatever its metadata holds."""

import json
import os
import shutil
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner

from ubcn_ros import cli
from ubcn_ros.labels import UNLABELED, numbered_labels
from ubcn_ros.network import UBCNConfig, build
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.runtime.export.folder import Exported
from ubcn_ros.runtime.installed import EXPORTED

RECORD = {
    'command': 'ubcn train light --data caf\udce9.yaml', 'recipe': {'name': 'light', 'stages': {}},
    'stage': 'attend', 'trained': ['derain', 'attention'],
    'data': [{'name': 'own', 'format': 'yaml', 'license': 'MIT', 'sha256': 'ab12',
              'counts': {'train': 40, 'val': 8}},
             {'name': 'more', 'format': 'coco', 'license': '', 'sha256': None,
              'counts': {'train': 7}}],
    'license': 'MIT; research use only', 'init': {'name': 'ubcn-light-camvid', 'sha256': 'cd34'},
    'converted': 'bias less a half', 'commit': '0123abc',
    'versions': {'torch': '2.13.0', 'python': '3.12.1'}, 'seed': 3,
    'optimizer_steps': 500, 'iterations': 3,
    'validation': {'psnr_0_T1': None, 'psnr_150_T1': 29.591, 'psnr_150_T2': 30.155, 'loss': 0.5}}


def info(*arguments, **options):
    return CliRunner().invoke(cli.main, ['model', 'info', *map(str, arguments)], **options)


@pytest.fixture
def saved(tiny_model, tmp_path):
    """Function that writes the tiny model with some metadata."""
    def save(metadata):
        path = tmp_path / 'saved.safetensors'
        save_model(path, load_model(tiny_model)[0], metadata)
        return path
    return save


def test_all_that_a_file_says_is_printed(saved):
    path = saved(RECORD)
    result = info(path)
    assert result.exit_code == 0, result.output
    lines = [' '.join(line.split()) for line in result.output.splitlines()]
    network, loaded = load_model(path)
    for line in (
            f'sha256 {loaded.sha256}', 'licence MIT; research use only', 'recipe light',
            r'command ubcn train light --data caf\udce9.yaml', 'stage attend', 'commit 0123abc',
            'temperature 1 (not calibrated)', 'seed 3', 'optimizer steps 500', 'iterations 3',
            'started from ubcn-light-camvid, sha256 cd34', 'converted bias less a half',
            'data own, train 40, val 8, format yaml, license MIT, sha256 ab12',
            'data more, train 7, format coco', 'versions torch 2.13.0, python 3.12.1',
            f'derain {sum(p.numel() for p in network.derain.parameters()):,} yes',
            'small_segmentation:SmallSegmentation: width 4',
            'camvid: 11 classes, 7 paths, 255 is unlabeled',
            '3 Road #804080 2', 'validation T = 1 T = 2', 'psnr 0 - - -', 'psnr 150 - 29.59 30.16',
            'loss 0.50 - -'):
        assert line in lines, f'{line}\n{result.output}'
    assert [line for line in lines if 'random' in line] == [
        f'segmentation {sum(p.numel() for p in network.segmentation.parameters()):,} '
        'no: random numbers']


def test_a_rain_head_that_nothing_trained_is_told(rain_model, tmp_path):
    path = tmp_path / 'dry.safetensors'
    save_model(path, load_model(rain_model)[0], {'estimates_rain': False})
    result = info(path)
    row, = (line for line in result.output.splitlines() if line.startswith('rain_head'))
    assert row.endswith('no: random numbers'), result.output


def test_a_veil_is_a_part_that_is_trained_with_derain(rain_model):
    result = info(rain_model)
    assert result.exit_code == 0, result.output
    lines = [' '.join(line.split()) for line in result.output.splitlines()]
    veil = load_model(rain_model)[0].veil
    assert f'veil {sum(p.numel() for p in veil.parameters()):,} yes' in lines, result.output
    assert any('texture' in line for line in lines), result.output


def test_json_to_a_file_and_to_standard_output(saved, tmp_path):
    path = saved(RECORD)
    result = info(path, '--json', tmp_path / 'info.json')
    assert 'licence' in result.output and 'wrote' in result.output
    said = json.loads(info(path, '--json', '-').output)
    assert said == json.loads((tmp_path / 'info.json').read_text())
    config = load_model(path)[1].config
    assert UBCNConfig.from_dict({**said['network'], 'label_set': said['label_set']}) == config
    assert {part: entry['trained'] for part, entry in said['parts'].items()} == {
        'derain': True, 'segmentation': False, 'attention': True}
    assert said['metadata'] == RECORD


@pytest.mark.parametrize('metadata', [
    {}, {key: None for key in RECORD if key != 'trained'},
    {key: 'text' for key in RECORD if key != 'trained'},
    {key: 7.5 for key in RECORD if key != 'trained'},
    {key: [] for key in RECORD}, {key: {} for key in RECORD if key != 'trained'},
    {key: [[{'a': [1, None]}], 'x\ny'] for key in RECORD if key != 'trained'},
    {key: {'': {'a': []}, 'name': [1], 'counts': 3} for key in RECORD if key != 'trained'},
    {'data': [{'name': None, 'counts': {'train': None}}], 'validation': {'a_T1': 'x'}}])
def test_metadata_of_any_form_is_printed(saved, metadata):
    path = saved(metadata)
    result = info(path)
    assert result.exit_code == 0, result.output
    assert json.loads(info(path, '--json', '-').output)['metadata'] == metadata


@pytest.fixture
def without_its_network(saved, tmp_path):
    """A model whose segmentation network nobody can import; parts of the same with it."""
    path = saved(RECORD)
    parts = json.loads(info(path, '--json', '-').output)['parts']
    path.write_bytes(path.read_bytes().replace(b'small_segmentation:', b'other_segmentation:'))
    return path, parts


def test_a_model_is_described_without_the_module_of_its_network(without_its_network):
    path, parts = without_its_network
    result = info(path)
    assert result.exit_code == 0, result.output
    lines = [' '.join(line.split()) for line in result.output.splitlines()]
    assert 'licence MIT; research use only' in lines and '3 Road #804080 2' in lines
    warning, = (line for line in lines if line.startswith('Warning: '))
    assert "the segmentation network 'other_segmentation:SmallSegmentation'" in warning
    assert 'PYTHONPATH' in warning and 'version of this package' not in warning
    done = CliRunner().invoke(cli.main, ['model', 'info', str(path), '--json', '-'])
    assert json.loads(done.stdout)['parts'] == parts, 'the same as of the network'


def test_an_export_is_described_without_the_module_of_its_network(saved, tmp_path, monkeypatch):
    exported = Exported(replace(load_model(saved(RECORD))[1], path=tmp_path), 'onnx', 'fp32', None,
                        None, {})
    exported.info.config.__dict__['segmentation'] = 'nowhere:Network'
    monkeypatch.setattr('ubcn_ros.runtime.export.folder.read_exported', lambda _: exported)
    (tmp_path / EXPORTED).touch()
    result = info(tmp_path)
    assert result.exit_code == 0 and 'licence         MIT' in result.output, result.output
    assert f'Warning: {tmp_path} does not say how many parameters it has' in result.output
    assert "cannot import the segmentation network 'nowhere:Network'" in result.output


def test_the_shipped_model():
    result = info('ubcn-light-camvid')
    assert 'research use only' in result.output
    assert 'segmentation   5,804,033  yes' in result.output


@pytest.mark.parametrize('count', [1, 2, 200])
def test_swatches_stand_beside_the_classes_and_only_on_a_terminal(tmp_path, tiny_model, count):
    labels = replace(numbered_labels(count), name='own')
    path = tmp_path / 'own.safetensors'
    save_model(path, build(replace(load_model(tiny_model)[1].config, label_set=labels)), {})
    plain, shown = (info(path, color=color, env={'TERM': 'xterm', 'NO_COLOR': None}).output
                    for color in (False, True))
    assert '\x1b' not in plain and plain == click.unstyle(shown)
    assert f'own: {count} class' in plain and f'{UNLABELED} is unlabeled' in plain
    swatches = [line for line in shown.splitlines() if line.startswith('\x1b[48;2;')]
    assert len(swatches) == count
    for i, line in enumerate(swatches):
        assert line.startswith('\x1b[48;2;{};{};{}m'.format(*labels.colors[i]))
        assert click.unstyle(line).split()[:2] == [str(i), str(i)]


@pytest.mark.parametrize('name, value', [('NO_COLOR', '1'), ('TERM', 'dumb')])
def test_there_are_no_swatches_where_no_colours_are_wanted(tiny_model, name, value):
    usual = {'TERM': 'xterm', 'NO_COLOR': None}
    assert '\x1b' in info(tiny_model, color=True, env=usual).output
    assert '\x1b' not in info(tiny_model, color=True, env={**usual, name: value}).output


def test_files_whose_names_are_not_utf_8_are_written_and_told(tiny_model, tmp_path):
    path = tmp_path / os.fsdecode(b'caf\xe9.json')
    result = info(tiny_model, '--json', path)
    assert result.exit_code == 0 and path.exists()
    assert result.output.endswith(f'wrote {tmp_path}/caf\\udce9.json\n')


def test_a_damaged_file_is_one_line(tiny_model, tmp_path):
    path = tmp_path / 'cut.safetensors'
    path.write_bytes(tiny_model.read_bytes()[:5000])
    shutil.copy(path, tmp_path / 'cut.txt')
    for wrong in (path, tmp_path / 'cut.txt', tmp_path, 'nowhere'):
        result = info(wrong)
        assert result.exit_code == 1
        assert result.output.startswith('Error: ') and len(result.output.splitlines()) == 1
        assert wrong in (tmp_path, 'nowhere') or wrong.name in result.output
