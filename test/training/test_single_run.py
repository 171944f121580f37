# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run at a time in an output folder."""

import os
import signal
import subprocess
import sys

import pytest

from ubcn_ros.training.single_run import single_run


def test_a_second_run_is_refused_until_the_first_ends(tmp_path):
    out = tmp_path / 'a' / 'out'
    with single_run(out):
        with pytest.raises(ValueError, match='another run is training in .*out: .*--out'):
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
