# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small data set that a check finds nothing in, and a cache folder of the test's own."""

import shutil

import pytest
from random_images import clouds
from small_set import add


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'ubcn_ros' / 'data'


@pytest.fixture(scope='session')
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp('clean')
    for i in range(6):
        add(root, 'train', f'street{"abcdef"[i]}', clouds(i))
    for i in range(3):
        add(root, 'val', f'road{"abc"[i]}', clouds(100 + i))
    return root


@pytest.fixture
def clean(template, tmp_path):
    """A copy of its own for each test."""
    return shutil.copytree(template, tmp_path / 'set')
