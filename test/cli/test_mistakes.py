# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every wrong value of every option of every command: one line that names it, no traceback."""

import os
import shutil

import click
import pytest
import yaml
from camvid_folder import write_scene
from command_line import ubcn
from random_images import noise

from ubcn_ros import cli
from ubcn_ros.bags import create
from ubcn_ros.cli.param_types import DeviceType, InputType, OutputType, SizeType
from ubcn_ros.images.files import read_image, write_image

NEEDS = {'demo': 'rclpy', 'bag play': 'rclpy', 'benchmark node': 'rclpy', 'train': 'lightning',
         'benchmark train': 'lightning', 'study baselines': 'lightning',
         'study degradations': 'lightning', 'study networks': 'torchmetrics',
         'study methods': 'torchmetrics', 'study steps': 'torchmetrics',
         'study real-rain': 'torchmetrics', 'study report': 'torchmetrics',
         'evaluate': 'torchmetrics', 'model calibrate': 'torchmetrics', 'export': 'onnx'}
STAGE = {'optimizer_steps': 1, 'batch': 1, 'samples': {'crop': [32, 32], 'renders': 1}}
# What is there is made by `world`; all of it is small, as some is read before a mistake shows.
MODEL = ('--model', 'tiny.safetensors')
CPU = (*MODEL, '--device', 'cpu')
VALID = {
    'derain': ('in.png', 'out', *CPU, '--precision', 'fp32', '--iterations', '1'),
    'rain': ('in.png', 'out'),
    'bag compare': ('processed', 'processed'),
    'bag create': ('images', 'out'),
    'bag info': ('bag',),
    'bag play': ('bag',),
    'bag process': ('bag', 'out', *CPU, '--precision', 'fp32', '--iterations', '1'),
    'data check': ('data',),
    'data example': ('out', '--frames', '1', '--val', '1', '--size', '32x32'),
    'model info': ('tiny.safetensors',),
    'model calibrate': ('tiny.safetensors', '--data', 'data', '--device', 'cpu'),
    'demo': ('--bag', 'bag', '--out', 'out', *CPU, '--frames', '1'),
    'train': ('recipe.yaml', '--data', 'data', '--out', 'out',
              '--accelerator', 'cpu', '--workers', '0'),
    'evaluate': ('--data', 'data', *CPU, '--rates', '0', '--iterations', '1', '--limit', '1'),
    'report': ('processed', 'processed', '--out', 'out/page.html'),
    'export': ('--format', 'onnx', *MODEL, '--out', 'out'),
    'benchmark bag': (*CPU, '--frames', '2', '--size', '32x32',
                      '--iterations', '1'),
    'benchmark engine': (*CPU, '--size', '32x32', '--iterations', '1', '--frames', '1'),
    'benchmark equality': ('images', *CPU, '--iterations', '1'),
    'benchmark startup': (*CPU, '--size', '32x32', '--runs', '1'),
    'benchmark node': (*CPU, '--size', '32x32', '--frames', '1'),
    'benchmark train': ('recipe.yaml', '--data', 'data', '--accelerator', 'cpu', '--steps', '1',
                        '--workers', '0'),
    'study baselines': (*MODEL, '--recipe', 'baselines', '--data', 'data', '--out', 'out',
                        '--rates', '50', '--accelerator', 'cpu', '--workers', '0', '--frames',
                        '0'),
    'study degradations': ('--data', 'data', '--out', 'out', '--steps', '1', '--kind', 'pepper',
                           '--accelerator', 'cpu', '--workers', '0', '--limit', '1'),
    'study networks': (*CPU, '--data', 'data', '--out', 'out', '--rates', '0', '--iterations', '1',
                       '--limit', '1', '--frames', '0'),
    'study methods': ('--data', 'data', *CPU, '--rates', '50', '--iterations', '1', '--limit', '1',
                      '--out', 'out'),
    'study steps': ('--data', 'data', *CPU, '--iterations', '1', '--limit', '1', '--out', 'out'),
    'study real-rain': ('in.png', *CPU, '--iterations', '1', '--out', 'out'),
    'study report': ('--out', 'out', '--no-pdf'),
}
MODELS = ('missing', 'folder', 'export', 'empty.safetensors', 'text.safetensors', 'in.png', '',
          '~nobody/x.safetensors', 'x' * 300, 'in.png/x.safetensors')
BAGS = ('missing', 'folder', 'empty.mcap', 'text.mcap', 'text.db3', 'wrong_bag', 'in.png')
MISSING = ('missing', 'in.png')
IMAGES = ('missing.png', 'folder', 'empty.png', 'text.png')
# Of options whose type does not say what is wrong; () for those that take any text.
BY_NAME = {
    'model': MODELS, 'models': MODELS, 'clean_segmentation': MODELS, 'rain_segmentation': MODELS,
    'baseline_paths': MODELS, 'init': MODELS,
    'derain source': IMAGES, 'rain source': IMAGES, 'benchmark equality images': IMAGES,
    'bag create source': ('missing', 'in.png', 'folder', 'text.png'),
    'calibration': ('missing', 'folder', 'in.png', 'empty.yaml', 'text.yaml', 'list.yaml'),
    'bag process sources': BAGS, 'demo bag': BAGS, 'bag play bag': BAGS,
    'bag info bags': BAGS,
    **dict.fromkeys(('report source', 'bag compare bag', 'other', 'input_bag', 'truth'), BAGS),
    **dict.fromkeys(('topics', 'exclude', 'wait_for'), ('/no/such', '')),
    'clock_hz': ('x', 'nan', 'inf', '0'),  # what begins with - is no value of it
    **dict.fromkeys(('bag process cameras', 'bag process topics', 'bag process exclude'),
                    ('/no/such', '')),
    'demo topic': ('/no/such',),
    'output': ('in.png/x', '/proc/ubcn/x', 'x' * 300, ''),
    'bag process out': ('bag', 'in.png/x'),
    'bag create out': ('bag', 'in.png/x', '/proc/ubcn/x'),
    'demo out': ('in.png', 'in.png/x', '/proc/ubcn/x'),
    'recipe': ('missing', 'missing.yaml', 'folder', 'empty.yaml', 'text.yaml', 'binary.yaml',
               'list.yaml', 'nothing.yaml', 'unknown.yaml', 'many.yaml', 'zero.yaml',
               'negative.yaml', 'network.yaml', 'in.png'),
    **dict.fromkeys(('train data', 'benchmark train data', 'study baselines data',
                     'study degradations data'),
                    ('missing', 'folder', 'in.png', 'list.yaml')),
    'stage': ('x', '', 'joint'), 'variants': ('x', ''),
    **dict.fromkeys(('train steps', 'study baselines steps', 'study degradations steps'),
                    ('x', '', '0', '-1', '1.5', 'nan', '0%', '-5%', 'x%')),
    'segmentation': ('x', ''),
    'model calibrate data': ('missing', 'folder', 'in.png', 'images', 'list.yaml'),
    **dict.fromkeys(('evaluate data', 'study networks data', 'study methods data',
                     'study steps data'), ('missing', 'folder', 'in.png', 'images', 'list.yaml')),
    **dict.fromkeys(('study methods names', 'study steps names'), ('x', '')),
    'zooms': ('x', '', '9x9', '3x9+0+0', '9x9-1+0', '99x99+0+0'), 'study methods folder': MISSING,
    'study real-rain folder': MISSING, 'study real-rain sources': IMAGES,
    'study report folders': (*MISSING, 'folder', 'images'),
    'paths': ('missing', 'folder', 'in.png'),
    'rates': ('x', '', 'nan', '-1', '301', '0,x'), 'split': ('x',), 'only': ('x',),
    'rain rate': ('x', '', 'nan', '-1', '301', '0:', '0:1:2', '0:301', '0:50'),
    'address': ('x', '', 'ray://', 'ray:x', 'host:port', 'http://host:1'),
    'bag create topic': (), 'frame_id': (),
    **dict.fromkeys(('processing_size', 'processing_sizes'),
                    ('x', '', '1.5', '-2', '1', '31', '8193')),
}


# What is wrong in these files, which the error names instead of the file.
IN_FILES = {'network.yaml': 'channels is -4', 'nothing.yaml': "'a'"}


def every_command(group=cli.main, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield ' '.join((*path, name)), command


def wrong_values(name, parameter):
    for key in (f'{name} {parameter.name}', parameter.name):
        if key in BY_NAME:
            return BY_NAME[key]
    kind = parameter.type
    if isinstance(kind, click.IntRange):
        ends = [kind.min - 1] + ([] if kind.max is None else [kind.max + 1, 10 ** 30])
        return ('x', '', 'nan', '1.5', *map(str, ends))
    if isinstance(kind, click.FloatRange):
        below = ['0'] if kind.min_open or kind.min > 0 else []
        above = 'inf' if kind.max is None else str(kind.max + 1)
        return ('x', '', 'nan', '-inf', f'{kind.min - 1:g}', *below, above)
    if isinstance(kind, click.Choice):
        return ('x', '', kind.choices[0] + 'x')
    if isinstance(kind, DeviceType):
        return ('cuda:99', 'cuda:x', 'gpu', 'cpu:0:1', '', ' cpu')
    if isinstance(kind, SizeType):
        return ('x', '', '640', '640x', '0x0', '31x640', '-64x64', '1e3x64', '99999x99999')
    if isinstance(kind, OutputType):
        there = 'in.png' if kind.dir_okay else 'folder'
        return (there, 'in.png/x.png', '/proc/ubcn/x.png', '')
    raise AssertionError(f'{name}: say in BY_NAME what is wrong for {parameter.name}')


def cases():
    for name, command in every_command():
        for parameter in command.params:
            if getattr(parameter, 'is_flag', False) and parameter.name != 'help':
                continue
            for value in wrong_values(name, parameter):
                yield pytest.param(name, parameter, value, id=f'{name} {parameter.name} {value}')


def arguments(name, parameter, value):
    """Return the valid arguments with this one in place."""
    valid = list(VALID[name])
    if isinstance(parameter, click.Option):
        return [*valid, parameter.opts[-1], value]
    _, command = next(pair for pair in every_command() if pair[0] == name)
    place = [p.name for p in command.params if isinstance(p, click.Argument)].index(
        parameter.name)
    return [*valid[:place], value, *valid[place + 1:]]


@pytest.fixture(scope='module')
def world(tmp_path_factory, tiny_model):
    root = tmp_path_factory.mktemp('world')
    for i, name in enumerate(('images', '.')):
        write_image(root / name / 'in.png', noise(i, 40, 48))
    for i, split in enumerate(('train', 'val'), 2):
        write_scene(root / 'data', split, 'in', noise(i, 40, 48), noise(i, 40, 48)[..., 0] % 11)
    shutil.copy(tiny_model, root / 'tiny.safetensors')
    create([read_image(root / 'in.png')], root / 'bag')
    create([read_image(root / 'in.png')], root / 'processed', '/derained/image_raw')
    for name in ('folder', 'export', 'wrong_bag'):
        (root / name).mkdir()
    (root / 'export' / 'export.json').write_text('{}')
    (root / 'wrong_bag' / 'metadata.yaml').write_text('no bag: [')
    for suffix in ('png', 'safetensors', 'mcap', 'db3', 'yaml'):
        (root / f'empty.{suffix}').touch()
        (root / f'text.{suffix}').write_text('some words, [ and a bracket\n')
    (root / 'binary.yaml').write_bytes(bytes(range(256)))
    recipe = {'name': 'tiny', 'model': {'preset': 'light'}, 'stages': {'derain': STAGE}}
    for name, content in {
            'recipe': recipe, 'list': [1, 2], 'nothing': {'name': 'a'},
            'unknown': {**recipe, 'colour': 'red'},
            'many': {**recipe, 'stages': {'derain': {**STAGE, 'optimizer_steps': 'many'}}},
            'zero': {**recipe, 'stages': {'derain': {**STAGE, 'batch': 0}}},
            'negative': {**recipe, 'stages': {'derain': {**STAGE, 'save_every': -1}}},
            'network': {**recipe, 'model': {
                'preset': 'light', 'overrides': {'derain': {'channels': -4}}}}}.items():
        (root / f'{name}.yaml').write_text(yaml.safe_dump(content))
    return root


@pytest.fixture
def unchanged(world, monkeypatch):
    """The world as the current folder, and an environment that is put back."""
    monkeypatch.chdir(world)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree('out', ignore_errors=True)


def test_every_command_is_called(world):
    assert {name for name, _ in every_command()} <= VALID.keys()
    assert {'derain', 'bag process', 'train', 'benchmark engine'} <= VALID.keys()


def test_home_is_meant_by_every_path_that_begins_with_a_tilde():
    """Shells leave the ~ of --option=~/path to the command."""
    paths = [(name, parameter) for name, command in every_command() for parameter in command.params
             if isinstance(parameter.type, click.Path | click.File)]
    assert len(paths) > 50
    assert [f'{name} {parameter.name}' for name, parameter in paths
            if not isinstance(parameter.type, InputType | OutputType)] == []


@pytest.mark.parametrize('name, parameter, value', [*cases()])
@pytest.mark.usefixtures('unchanged', 'one_thread')
def test_a_wrong_value_is_one_line(name, parameter, value):
    pytest.importorskip(NEEDS.get(name, 'torch'))
    result = ubcn(*name.split(), *arguments(name, parameter, value))
    assert isinstance(result.exception, SystemExit), result.output
    assert result.exit_code in (1, 2), result.output
    said = [line for line in result.output.splitlines() if 'Error: ' in line]
    assert len(said) == 1, result.output
    named = {repr(value), *parameter.opts, parameter.human_readable_name, IN_FILES.get(value)}
    assert any(word in said[0] for word in (named | {value}) - {None, ''}), result.output
    assert 'Traceback' not in result.output
