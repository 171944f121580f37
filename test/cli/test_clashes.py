# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""No command writes over what it reads, nor twice to one file."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import ubcn
from random_images import noise

from ubcn_ros.cli import checked_data
from ubcn_ros.cli.clashes import check_kept
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import data_option, json_option
from ubcn_ros.cli.param_types import JSON, OUTPUT_FILE_OR_FOLDER, PICTURE, InputType
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.scenes import DataSet
from ubcn_ros.images.files import write_image


@click.command(cls=Command)
@click.argument('source', metavar='INPUT', type=InputType(path_type=Path))
@click.argument('output', type=OUTPUT_FILE_OR_FOLDER)
@data_option(required=False, multiple=True)
@json_option()
@click.option('--second', type=JSON)
@click.option('--picture', type=PICTURE)
@click.option('--name')
def command(**_given):
    click.echo('ran')


def run(*arguments):
    done = CliRunner().invoke(command, [*map(str, arguments)])
    assert isinstance(done.exception, SystemExit | None)
    return done


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('in.json', 'old.json', 'data/0.png', 'beside/0.png'):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    Path('link.json').symlink_to('in.json')


@pytest.mark.parametrize('arguments, text', [
    (('in.json', 'out', '--json', 'in.json'), '--json and INPUT are the same, in.json: '),
    (('in.json', 'out', '--json', 'link.json'), '--json and INPUT are the same'),
    (('in.json', 'out', '--json', '../{0}/in.json'), '--json and INPUT are the same'),
    (('in.json', 'x.json', '--json', 'x.json'), '--json and OUTPUT are the same'),
    (('in.json', 'out', '--json', 'x.json', '--second', './x.json'), '--second and --json are '),
    (('in.json', 'out', '--name', 'old.json', '--json', 'old.json'), '--json and --name are'),
    (('in.json', 'out', '--data', 'beside', '--data', 'data', '--picture', 'data/0.png'),
     '--picture would replace data/0.png, which lies in what --data reads')])
def test_what_clashes_is_refused(tmp_path, arguments, text):
    done = run(*(argument.format(tmp_path.name) for argument in arguments))
    assert done.exit_code == 2 and text in done.output and 'ran' not in done.output


@pytest.mark.parametrize('arguments', [
    ('in.json', 'out', '--json', 'old.json', '--picture', 'old.png'),
    ('in.json', 'out', '--json', '/dev/null', '--second', '/dev/null'),
    ('data', 'data'),  # the command's own matter
    ('in.json', 'out', '--name', 'beside', '--picture', 'beside/0.png'),  # no path
    ('data', 'out', '--picture', 'beside/0.png', '--json', 'data/new.json')])
def test_what_does_not_is_left_alone(arguments):
    done = run(*arguments)
    assert done.exit_code == 0, done.output


@pytest.fixture
def coco():
    """COCO annotations of two splits, train without its images."""
    for split in ('train', 'val'):
        file = Path(f'coco/annotations/instances_{split}2017.json')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({
            'images': [{'id': 1, 'file_name': f'{split}.png', 'height': 40, 'width': 48}],
            'annotations': [], 'categories': [{'id': 1, 'name': 'road'}]}))
    write_image(Path('coco/val2017/val.png'), noise(0, 40, 48))
    Path('coco.yaml').write_text('path: coco\n')
    Path('link.png').symlink_to('coco/val2017/val.png')


@pytest.mark.parametrize('data', ['coco', 'coco.yaml'])
@pytest.mark.parametrize('option, path', [
    ('--json', 'coco/annotations/instances_val2017.json'),
    ('--json', 'beside/../coco/annotations/instances_train2017.json'),
    ('--picture', 'link.png')])
@pytest.mark.usefixtures('coco')
def test_what_data_sets_are_made_of_is_kept(data, option, path):
    with command.make_context('command', ['in.json', 'out', option, path]) as context:
        with pytest.raises(click.UsageError, match=f'{option} would replace {path}, .* set coco'):
            check_kept(context, open_data([data]))


@pytest.mark.usefixtures('coco')
def test_what_lies_beside_it_is_written(monkeypatch):
    Path('coco/results.json').write_text('an earlier result')
    with command.make_context('command', ['in.json', 'out', '--json', 'coco/results.json',
                                          '--second', 'coco/new.json']) as context:
        check_kept(context, open_data(['coco']))
    # and splits are listed only where something could be lost
    monkeypatch.setattr(DataSet, 'all_files', None)
    with command.make_context('command', ['in.json', 'out', '--json', 'new.json']) as context:
        check_kept(context, open_data(['coco']))


@pytest.mark.usefixtures('coco')
def test_the_check_of_data_keeps_them():
    file = Path('coco/annotations/instances_train2017.json')
    before = file.read_bytes()
    done = ubcn('data', 'check', 'coco', '--json', file)
    assert done.exit_code == 2 and f'--json would replace {file}' in done.output
    assert file.read_bytes() == before


def test_every_command_opens_data_by_what_keeps_them():
    commands = Path(checked_data.__file__).parent
    assert [path.name for path in sorted(commands.glob('*.py'))
            if 'open_data' in path.read_text()] == ['checked_data.py']
