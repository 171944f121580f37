# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models and configuration are found wherever the package lies."""

import errno
import os
import sys

import pytest

from ubcn_ros.runtime import installed


@pytest.fixture
def lies(tmp_path, monkeypatch):
    """Function that puts the package in a folder and its data in others."""
    def lie(package, *data):
        monkeypatch.setattr(installed, '_HERE', tmp_path / package / 'ubcn_ros/runtime/x.py')
        for folder in data:
            (tmp_path / folder / 'models').mkdir(parents=True)
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'python'))
    return lie


@pytest.mark.parametrize(('package', 'share'), [
    ('venv/lib/python3.12/site-packages', 'venv/share/ubcn_ros'),
    ('usr/local/lib/python3.12/dist-packages', 'usr/local/share/ubcn_ros'),
    ('target', 'target/share/ubcn_ros'),
    ('install/ubcn_ros/lib/python3.12/site-packages', 'install/ubcn_ros/share/ubcn_ros')])
def test_beside_the_package_before_anywhere_else(lies, tmp_path, monkeypatch, package, share):
    lies(package, share, 'ament/share/ubcn_ros', 'python/share/ubcn_ros')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}/absent::{tmp_path}/ament')
    assert installed.shared_folders('models') == [
        tmp_path / folder / 'models' for folder in (share, 'ament/share/ubcn_ros',
                                                    'python/share/ubcn_ros')]


def test_the_source_tree_comes_first_and_only_if_it_is_one(lies, tmp_path):
    lies('site-packages', 'site-packages', 'python/share/ubcn_ros')
    # somebody else's folder named models
    assert installed.shared_folders('models') == [tmp_path / 'python/share/ubcn_ros/models']
    (tmp_path / 'site-packages' / 'package.xml').touch()
    assert installed.shared_folders('models')[0] == tmp_path / 'site-packages/models'


def test_a_folder_that_may_not_be_looked_into_is_passed_over(lies, tmp_path, monkeypatch):
    lies('site-packages', 'site-packages/share/ubcn_ros')
    stat = os.stat

    def refusing(path, *others, **options):
        if str(path).startswith(str(tmp_path)) and os.path.basename(path) == 'package.xml':
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, *others, **options)
    monkeypatch.setattr(os, 'stat', refusing)
    assert installed.shared_folders('models') == [
        tmp_path / 'site-packages/share/ubcn_ros/models']
