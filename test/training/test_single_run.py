# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run at a time in an output folder."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import pytest

from ubcn_ros.training.single_run import single_run


def test_a_second_run_is_refused_until_the_first_ends(tmp_path):
    out = tmp_path / 'a' / 'out'
    with single_run(out):
        with pytest.raises(ValueError, match='another run is writing to .*out: .*--out'):
            with single_run(out, patience=0.1):
                raise AssertionError('two at once')
        with single_run(tmp_path / 'other', patience=0):
            pass
    with single_run(out, patience=0):
        assert not list(out.iterdir())


@pytest.mark.parametrize('name', ['LOCAL_RANK', 'NODE_RANK'])
def test_processes_of_one_run_share_it(tmp_path, monkeypatch, name):
    with single_run(tmp_path):
        monkeypatch.setenv(name, '1')
        with single_run(tmp_path, patience=0):
            pass


@pytest.mark.parametrize('error', [ValueError('a setting'), KeyboardInterrupt()])
def test_a_run_that_is_refused_leaves_no_folder_that_it_made(tmp_path, error):
    def refused(*names):
        with pytest.raises(type(error)), single_run(tmp_path.joinpath(*names)):
            raise error
    refused('a', 'b')
    assert not list(tmp_path.iterdir())
    (tmp_path / 'a').mkdir()
    refused('a')
    refused('a', 'b', 'c')
    assert [*tmp_path.rglob('*')] == [tmp_path / 'a'], 'it was there before'
    with pytest.raises(type(error)), single_run(tmp_path / 'd'):
        (tmp_path / 'd' / 'found.json').touch()
        raise error
    assert (tmp_path / 'd' / 'found.json').is_file()


def test_a_folder_that_its_run_removes_is_made_again_by_the_one_that_waits(tmp_path):
    out, waits, has_it = tmp_path / 'a' / 'out', threading.Event(), []

    def wait():
        waits.set()
        with single_run(out, patience=120):
            has_it.append(out.is_dir())
            with pytest.raises(ValueError, match='another run'), single_run(out, patience=0):
                pass
            has_it.append(True)

    waiting = threading.Thread(target=wait)
    with pytest.raises(ValueError, match='refused'), single_run(out):
        waiting.start()
        waits.wait(120)
        raise ValueError('refused')
    waiting.join(120)
    assert has_it == [True, True]


def test_runs_that_make_and_remove_one_folder_at_a_time(tmp_path):
    out, errors, at_once = tmp_path / 'a' / 'out', [], []

    def runs():
        try:
            for _ in range(100):
                with contextlib.suppress(KeyError), single_run(out, patience=120):
                    at_once.append(1)
                    assert at_once.pop() and not at_once
                    raise KeyError('refused')
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=runs) for _ in range(2)]
    with mock.patch('time.sleep'):  # instead of 0.1 s: they meet at every step
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert not errors


@pytest.mark.parametrize('is_link', [False, True])
def test_what_is_no_folder_is_refused_at_once(tmp_path, is_link):
    out = tmp_path / 'out'
    if is_link:
        out.symlink_to(tmp_path / 'nowhere')
    else:
        out.touch()
    with pytest.raises(FileExistsError, match='out'), single_run(out, patience=120):
        pass


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere' / 'there')
    with pytest.raises(FileExistsError, match='link'):
        with single_run(tmp_path / 'link' / 'out', patience=120):
            pass
    (tmp_path / 'removed').mkdir()
    monkeypatch.chdir(tmp_path / 'removed')
    (tmp_path / 'removed').rmdir()
    with pytest.raises(FileNotFoundError, match='out'), single_run(Path('out'), patience=120):
        pass


def test_a_killed_run_keeps_nobody_out(tmp_path):
    code = ('import sys, time; from pathlib import Path; '
            'from ubcn_ros.training.single_run import single_run\n'
            'with single_run(Path(sys.argv[1])): print("has it", flush=True); time.sleep(60)')
    process = subprocess.Popen([sys.executable, '-c', code, str(tmp_path)], text=True,
                               stdout=subprocess.PIPE, env=os.environ)
    assert process.stdout.readline() == 'has it\n'
    with pytest.raises(ValueError, match='another run'), single_run(tmp_path, patience=0):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with single_run(tmp_path, patience=0):
        pass
