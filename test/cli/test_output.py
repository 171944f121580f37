# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures go to files before anything is printed, which may fail, and '-' is for JSON alone."""

import errno
import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ubcn_ros.cli import output
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.output import has_cursor, save_json, saving


@pytest.fixture
def run(tmp_path):
    """Function that saves figures of a command in files of a folder, but for '-'."""
    def ran(path, csv='rows.csv', write=lambda path: path.write_text('1')):
        @click.command(cls=Command)
        def saving():
            save_json(path and (path if path == '-' else tmp_path / path), {'a': 1}, 'a is 1',
                      (csv and tmp_path / csv, write))
        return CliRunner().invoke(saving)
    return ran


def test_the_text_comes_first_and_then_what_was_written(run, tmp_path):
    assert run('a.json').output == f'a is 1\nwrote {tmp_path}/a.json\nwrote {tmp_path}/rows.csv\n'
    assert run(None, None).output == 'a is 1\n'


@pytest.mark.parametrize('path', sorted(Path(output.__file__).parent.glob('*.py')),
                         ids=lambda path: path.name)
def test_what_is_going_on_is_said_on_standard_error(path):
    assert not re.search(r'click\.echo\s*[,)]', path.read_text()), 'hand on cli.output.say'


def test_a_dash_prints_json_and_nothing_else(run, tmp_path):
    done = run('-')
    assert json.loads(done.stdout) == {'a': 1}
    assert done.stderr == f'wrote {tmp_path}/rows.csv\n'


def test_files_are_there_where_nothing_can_be_printed(run, tmp_path, unheard):
    assert run('a.json').exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.json', 'rows.csv']


def test_one_that_cannot_be_written_loses_neither_the_others_nor_the_text(run, tmp_path):
    def full(path):
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    done = run('a.json', write=full)
    assert done.exit_code == 1 and done.stdout == f'a is 1\nwrote {tmp_path}/a.json\n'
    assert f'Error: {tmp_path}/rows.csv: No space left on device' in done.stderr
    (tmp_path / 'b.json').mkdir()
    done = run('b.json', 'b.csv')
    assert done.exit_code == 1 and done.stdout == f'a is 1\nwrote {tmp_path}/b.csv\n'


@pytest.mark.parametrize('terminal, term, cursor', [
    (True, 'xterm', True), (True, 'dumb', False), (True, None, False), (False, 'xterm', False)])
def test_a_cursor_needs_a_terminal_that_has_one(monkeypatch, terminal, term, cursor):
    monkeypatch.setattr('sys.stderr.isatty', lambda: terminal)
    monkeypatch.delenv('TERM', raising=False)
    if term is not None:
        monkeypatch.setenv('TERM', term)
    assert has_cursor() == cursor


@pytest.mark.parametrize('found', [[], [1]])
def test_what_was_found_is_kept_however_it_ends_and_nothing_replaces_no_file(tmp_path, found):
    kept = []
    with pytest.raises(KeyboardInterrupt), saving(kept, lambda: save_json(tmp_path / 'a', kept)):
        kept += found
        raise KeyboardInterrupt
    assert (tmp_path / 'a').exists() == bool(found)
