# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""No command writes over what it reads, nor twice to one file."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ubcn_ros.cli.clashes import check_kept
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    JSON,
    OUTPUT_FILE_OR_FOLDER,
    PICTURE,
    InputType,
    data_option,
    json_option,
)
from ubcn_ros.data.scenes import Scene


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


def test_files_that_a_data_set_names_are_kept():
    scenes = [Scene('0', Path('data/0.png'), Path('in.json')), Scene('1', Path('1.png'), None)]
    check_kept(scenes, None, Path('new.png'), Path('beside/0.png'))
    for path in ('data/../data/0.png', 'link.json'):
        with pytest.raises(click.UsageError, match=f'{path} is a file of the data set'):
            check_kept(scenes, Path('new.png'), Path(path))
