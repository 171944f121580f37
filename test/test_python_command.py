# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes of our own import what this one does, whatever lies in the current folder."""

import subprocess
import sys

import pytest

from ubcn_ros.python_command import python_command


def test_a_file_of_the_users_is_not_the_standard_librarys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'random.py').write_text('print("mine")\n')
    (tmp_path / 'own.py').write_text('import random\n')

    def printed():
        return subprocess.run(python_command('-m', 'own'), capture_output=True, text=True,
                              timeout=60).stdout

    monkeypatch.syspath_prepend(tmp_path)
    assert printed() == 'mine\n', 'as of a package that is not installed'
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    if sys.version_info < (3, 11):
        pytest.skip('Python 3.10 has no -P')
    assert printed() == ''
    tmp_path.joinpath('gone').mkdir()
    monkeypatch.chdir(tmp_path / 'gone')
    tmp_path.joinpath('gone').rmdir()
    assert '-P' in python_command('-m', 'own')
