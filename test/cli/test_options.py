# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Values that options take; test_mistakes.py has those that they do not."""

import os
from pathlib import Path

import click
import pytest
from command_line import ubcn
from random_images import noise

from ubcn_ros.cli import param_types
from ubcn_ros.cli.benchmark_engine import engine
from ubcn_ros.cli.evaluate import evaluate
from ubcn_ros.cli.study_degradations import degradations
from ubcn_ros.cli.training import RecipeType
from ubcn_ros.data.validation_rain import RAINS
from ubcn_ros.images.files import write_image
from ubcn_ros.images.malformed import MAX_PIXELS
from ubcn_ros.json_files import write_json
from ubcn_ros.network import PRESETS
from ubcn_ros.network.baselines import REGISTRY
from ubcn_ros.runtime.backends.backend import BACKENDS
from ubcn_ros.runtime.device import PRECISIONS
from ubcn_ros.study.trained_baselines import TITLES


def test_choices_are_those_of_the_package():
    assert set(param_types.PRECISION.choices) == {'auto', *PRECISIONS}
    assert set(param_types.BACKEND.choices) == {'auto', *BACKENDS}
    assert tuple(param_types.PRESET.choices) == PRESETS
    assert set(param_types.BASELINE.choices) == {*REGISTRY} == {*TITLES}
    (rain,) = (option for option in evaluate.params if option.name == 'rain')
    assert tuple(rain.type.choices) == RAINS and rain.default == RAINS[0]


@pytest.mark.parametrize(('command', 'option', 'values', 'kept'), [
    (evaluate, '--size', ['64x48', '32x32', '64x48'], ((64, 48), (32, 32))),
    (engine, '--iterations', ['2', '2'], (2,)),
    (engine, '--preset', ['wide', 'wide'], ('wide',)),
    (degradations, '--seed', ['3', '1', '3'], (3, 1))])
def test_a_value_that_is_given_twice_counts_once(command, option, values, kept):
    arguments = [part for value in values for part in (option, value)]
    with command.make_context('command', ['--data', '.', *arguments] if command is not engine
                              else arguments) as context:
        (found,) = (p.name for p in command.params if option in p.opts)
        assert context.params[found] == kept


def test_a_recipe_goes_by_name_whatever_lies_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'light').mkdir()  # as of --out light
    for name in ('paper', 'mine'):
        (tmp_path / name).touch()
    recipe = RecipeType()
    for name in ('light', 'paper'):
        found = recipe.convert(name, None, None)
        assert found.name == f'{name}.yaml' and found.parent != Path()
    for path in ('mine', './paper'):
        assert recipe.convert(path, None, None).samefile(path)
    for path in ('./light', 'runs'):
        with pytest.raises(click.BadParameter, match='is a directory|no recipe .runs'):
            recipe.convert(path, None, None)


@pytest.mark.parametrize(('there', 'taken', 'refused'), [
    (0, ('auto', 'cpu'), ('cuda', 'cuda:0')),
    (2, ('auto', 'cpu', 'cuda', 'cuda:0', 'cuda:1'), ('cuda:2', 'cuda:x', 'gpu', ''))])
def test_devices_are_those_that_are_there(monkeypatch, there, taken, refused):
    monkeypatch.setattr('torch.cuda.is_available', lambda: there > 0)
    monkeypatch.setattr('torch.cuda.device_count', lambda: there)
    for device in taken:
        assert param_types.DEVICE.convert(device, None, None) == device
    for device in refused:
        with pytest.raises(click.BadParameter, match='device'):
            param_types.DEVICE.convert(device, None, None)


def test_sizes_are_those_of_images():
    assert param_types.SIZE.convert('1024X512', None, None) == (1024, 512)
    assert param_types.SIZE.convert('8192x8192', None, None) == (8192, 8192)
    assert 8192 * 8192 == MAX_PIXELS
    for size in ('8192x8193', '31x64', '64'):
        with pytest.raises(click.BadParameter, match='is not WIDTHxHEIGHT of at least 32x32'):
            param_types.SIZE.convert(size, None, None)


def test_outputs_are_checked_without_a_trace(tmp_path):
    path = tmp_path / 'new' / 'deep' / 'rows.json'
    assert param_types.JSON.convert(str(path), None, None) == path
    assert param_types.OUTPUT_FOLDER.convert(str(path), None, None) == path
    assert list(tmp_path.iterdir()) == []
    (tmp_path / 'file').write_text('kept')
    (tmp_path / 'rows.JSON').write_text('kept')
    assert param_types.JSON.convert(str(tmp_path / 'rows.JSON'), None, None).read_text() == 'kept'
    either = param_types.OUTPUT_FILE_OR_FOLDER
    for there in (path, tmp_path, tmp_path / 'file', tmp_path / 'new'):
        assert either.convert(str(there), None, None) == there
    (tmp_path / 'dangling').symlink_to(tmp_path / 'nowhere')
    for kind, name in ((param_types.OUTPUT_FOLDER, 'file'), (param_types.OUTPUT_FOLDER, 'file/x'),
                       (param_types.JSON, 'dangling/x'), (param_types.JSON, ''),
                       (param_types.JSON, 'file'), (param_types.JSON, '-'),
                       (param_types.CSV, 'rows.JSON'),
                       (param_types.PAGE, 'rows.JSON'), (either, 'file/x'),
                       (either, 'dangling/x'), (either, ''),
                       (either, 'x' * 300)):
        with pytest.raises(click.BadParameter):
            kind.convert(name and str(name if name == '-' else tmp_path / name), None, None)
    assert str(param_types.JSON_OR_DASH.convert('-', None, None)) == '-'


def test_outputs_may_be_pipes_and_devices(monkeypatch):
    ends = os.pipe()
    try:
        path = Path(f'/dev/fd/{ends[1]}')  # as of >(cat), in a folder that holds no files
        assert param_types.JSON.convert(str(path), None, None) == path
        write_json(path, [1])
        assert os.read(ends[0], 99) == b'[\n 1\n]\n'
    finally:
        for end in ends:
            os.close(end)
    monkeypatch.setattr('tempfile.TemporaryFile', lambda **_: os.open('/proc/x', os.O_CREAT))
    assert param_types.CSV.convert('/dev/null', None, None) == Path('/dev/null')  # as for no root
    monkeypatch.setattr('os.access', lambda path, mode: mode != os.W_OK)
    with pytest.raises(click.BadParameter, match='/dev/null'):
        param_types.JSON.convert('/dev/null', None, None)


@pytest.mark.parametrize('command', [
    ('bag', 'process', 'BAG', 'OUT', '--start'), ('bag', 'process', 'BAG', 'OUT', '--duration'),
    ('bag', 'process', 'BAG', 'OUT', '--split-size'),
    ('bag', 'process', 'BAG', 'OUT', '--split-duration'), ('bag', 'play', 'BAG', '--start'),
    ('bag', 'play', 'BAG', '--duration'),
    ('bag', 'play', 'BAG', '--rate'),
    ('bag', 'create', '.', 'OUT', '--rate')], ids=' '.join)
def test_times_and_rates_are_within_what_a_bag_can_have(command):
    done = ubcn(*command, '1e300')
    assert done.exit_code == 2, done.output
    assert f"Invalid value for '{command[-1]}': 1e+300 is not" in done.output, done.output


@pytest.mark.parametrize('option', ['--split-size', '--split-duration'])
@pytest.mark.parametrize('value', ['0', '1e-7', '4e-10'])
def test_a_split_that_makes_a_file_of_every_message_is_refused(option, value):
    done = ubcn('bag', 'process', 'BAG', 'OUT', option, value)
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': {float(value)} is not in the range" in done.output


@pytest.mark.parametrize('command, name', [
    *(('bag info BAG --json', name) for name in (
        'drive.mcap', 'drive.db3', 'drive.bag', 'metadata.yaml', 'process.json', 'export.json',
        'model.safetensors', 'drive.mcap.zstd')),
    ('bag compare A B --csv', 'drive.mcap'), ('bag compare A B --json', 'process.json'),
    ('report A --out', 'drive.mcap'), ('derain . OUT --json', 'drive.mcap')])
def test_what_commands_read_is_not_written_over(tmp_path, command, name):
    (tmp_path / name).write_bytes(b'a drive')
    done = ubcn(*command.split(), tmp_path / name)
    assert done.exit_code == 2 and 'would be overwritten' in done.output, done.output
    assert (tmp_path / name).read_bytes() == b'a drive'


@pytest.mark.parametrize('command, suffix', [
    ('bag process BAG OUT --rrd', '.rrd'), ('bag process BAG OUT --video', '.mp4'),
    ('bag info BAG --json', '.json'), ('bag compare A B --json', '.json'),
    ('bag compare A B --csv', '.csv'), ('report A --out', '.html')])
def test_files_have_the_names_of_their_kind(tmp_path, command, suffix):
    """Or the same command would be refused the next time, as overwriting another kind's."""
    done = ubcn(*command.split(), tmp_path / 'a')
    assert done.exit_code == 2 and f'ends in none of {suffix}' in done.output


@pytest.mark.parametrize('command, option', [
    ('bag create . OUT', '--seed 1'), ('bag create . OUT --rain 0', '--seed 1'),
    ('demo', '--topic /front'),
    *(('benchmark node --stand-in 5', option) for option in (
        '--model light', '--device cpu', '--iterations 2', '--processing-size 0')),
    *((f'study {name} --data . --frames 0', option) for name in ('networks', 'baselines')
      for option in ('--size 64x64', '--time-precision fp32')),
    ('study baselines --data . --frames 0', '--preset light'),
    ('study real-rain a.png', '--stride 2'), ('study real-rain a.png', '--limit 2')])
def test_options_that_would_change_nothing_are_refused(tmp_path, monkeypatch, command, option):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / 'a.png', noise())
    done = ubcn(*command.split(), *option.split())
    assert done.exit_code == 2 and f': leave out {option.split()[0]}\n' in done.output, done.output
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_a_clock_that_takes_the_bag_for_its_rate_says_what_to_write():
    done = ubcn('bag', 'play', '--clock', 'BAG')
    assert done.exit_code == 2 and "'--clock': 'BAG' is not a number of Hz" in done.output
    assert 'put --clock after BAG, or write --clock=40' in done.output


@pytest.mark.parametrize('rate', ['1e5', '0'])
def test_a_benchmark_sends_at_rates_that_may_be(rate):
    done = ubcn('benchmark', 'node', '--rate', rate)
    assert done.exit_code == 2 and "Invalid value for '--rate'" in done.output


@pytest.mark.parametrize('options, name', [
    ((), 'onnx-fp32'), (('--height', '64', '--width', '96'), 'onnx-fp32-96x64')])
def test_an_export_of_a_fixed_size_has_a_folder_of_its_own(monkeypatch, tiny_model, options, name):
    def refused(folder):
        raise ValueError(f'to {folder}')

    monkeypatch.setattr('ubcn_ros.runtime.export.folder.check_replaceable', refused)
    done = ubcn('export', '--format', 'onnx', '--model', tiny_model, *options)
    assert f'to out/export/{tiny_model.stem}-{name}\n' in done.output, done.output
