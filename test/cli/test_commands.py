# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ends in one line, and what keeps its traceback."""

import errno
import os
import signal
import subprocess
import sys

import click
import pytest
import torch
from click.testing import CliRunner

from ubcn_ros.cli.commands import Command, LazyGroup, typed_command
from ubcn_ros.stopping import Stopped


def outcome(error):
    """Result of a command that raises this."""
    @click.command(cls=Command)
    def failing():
        raise error
    return CliRunner().invoke(failing)


@pytest.mark.parametrize(('error', 'line'), [
    (ValueError('batch is 0:\n  choose 1'), 'Error: batch is 0: choose 1'),
    (PermissionError(errno.EACCES, 'Permission denied', '/x/y'),
     'Error: /x/y: Permission denied: choose a path that exists and that you may use'),
    (OSError(errno.ENOSPC, 'No space left on device', '/x/y'),
     'Error: /x/y: No space left on device: make room, or choose another place'),
    (OSError(errno.ENOSPC, 'No space left on device', '/tmp/a', None, '/x/y'),
     'Error: /x/y: No space left on device: make room, or choose another place'),
    (FileNotFoundError(errno.ENOENT, 'No such file', '/x/from', None, '/x/to'),
     'Error: /x/from: No such file: choose a path that exists and that you may use'),
    (IsADirectoryError(errno.EISDIR, 'Is a directory', '/x'),
     'Error: /x: Is a directory: give a file'),
    (PermissionError('/x holds code: remove it'), 'Error: /x holds code: remove it'),
    (MemoryError('Unable to allocate 3 TiB'),
     'Error: not enough memory: Unable to allocate 3 TiB: take a smaller image'),
    (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 3 GiB\nmore'),
     'Error: not enough memory: CUDA out of memory. Tried to allocate 3 GiB: take'),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes.\nat C++"),
     "Error: not enough memory: [enforce fail] DefaultCPUAllocator: can't allocate memory: 9 by"),
    (RuntimeError('Found no NVIDIA driver on your system. Please check'), 'Error: Found no NV'),
    (ModuleNotFoundError("No module named 'torch'", name='torch'),
     "Error: No module named 'torch': install it with pip install 'torch'"),
    (ModuleNotFoundError("No module named 'mcap'", name='mcap.records'),
     "Error: No module named 'mcap': install it with pip install 'mcap'"),
    (ModuleNotFoundError("No module named 'lightning'", name='lightning.fabric'),
     "Error: No module named 'lightning': install it with pip install 'ubcn_ros[train]'")])
def test_ordinary_mistakes_are_one_line(error, line):
    result = outcome(error)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert result.output.startswith(line) and result.output.count('\n') == 1


@pytest.mark.parametrize('error', [
    TypeError('no'), KeyError('no'), AttributeError('no'), AssertionError('no'), IndexError('no'),
    RuntimeError('CUDA error: an illegal memory access was encountered'), ZeroDivisionError('no'),
    ModuleNotFoundError("No module named 'ubcn_ros.nothing'", name='ubcn_ros.nothing')])
def test_bugs_keep_their_traceback(error):
    assert outcome(error).exception is error


@pytest.mark.parametrize('error', [click.exceptions.Exit(3), click.ClickException('told'),
                                   click.UsageError('told')])
def test_what_click_raises_passes(error):
    assert outcome(error).exit_code == getattr(error, 'exit_code', 3)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_a_shell_expects(number):
    result = outcome(Stopped(number))
    assert result.exit_code == 128 + number
    assert result.output == f'Stopped by {signal.Signals(number).name}\n'
    assert outcome(KeyboardInterrupt()).exit_code == 130, 'before anything stops on signals'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('before', [signal.SIG_DFL, signal.SIG_IGN])
def test_every_command_ends_what_it_has_begun(number, before):
    """Also on the SIGINT that a script's background job ignores; nohup keeps SIGHUP out."""
    ended = []

    @click.command(cls=Command)
    def working():
        try:
            os.kill(os.getpid(), number)
        finally:
            ended.append(True)
    earlier = signal.signal(number, before)
    try:
        result = CliRunner().invoke(working)
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, earlier)
    kept_out = number == signal.SIGHUP and before == signal.SIG_IGN
    assert ended and result.exit_code == (0 if kept_out else 128 + number)


def test_a_reader_that_goes_away_is_not_an_error():
    """As in `ubcn ... | head -1`."""
    code = ('import click\nfrom ubcn_ros.cli.commands import Command\n'
            '@click.command(cls=Command)\n'
            'def talk():\n'
            '    while True:\n'
            "        click.echo('line')\n"
            'talk()\n')
    talk = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    talk.stdout.readline()
    talk.stdout.close()
    assert talk.stderr.read() == b''
    assert talk.wait(30) == 1


def test_a_group_imports_a_command_when_it_is_asked_for():
    group = LazyGroup(lazy={'later': 'ubcn_ros.no.such:later'})
    assert isinstance(CliRunner().invoke(group, ['later']).exception, ModuleNotFoundError)
    assert 'No such command' in CliRunner().invoke(group, ['never']).output


@pytest.mark.parametrize('again', [[], ['--resume'], ['--overwrite']])
def test_the_command_of_a_resumed_run_is_that_of_an_uninterrupted_one(monkeypatch, again):
    monkeypatch.setattr(sys, 'argv', ['/bin/ubcn', 'train', 'my recipe.yaml', *again, '--half'])
    assert typed_command() == "ubcn train 'my recipe.yaml' --half"
