# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cache folder: where it is, what it is keyed by, and who may write to it."""

import pytest

from ubcn_ros.runtime.cache import cache_folder, digest, private_folder


def test_the_cache_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'ubcn_ros'
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_folder() == tmp_path / '.cache' / 'ubcn_ros'


def test_keys_follow_their_values():
    assert digest('a', 1) == digest('a', 1) and len(digest('a')) == 16
    assert len({digest('a', 1), digest('a', 2), digest('a', '1'), digest('a1')}) == 4


def test_folders_of_code_are_for_their_owner_alone(tmp_path):
    folder = private_folder(tmp_path / 'new' / 'code')
    assert folder.stat().st_mode & 0o077 == 0
    assert private_folder(folder) == folder
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match=r'code.*mode 777.*XDG_CACHE_HOME'):
        private_folder(folder)
