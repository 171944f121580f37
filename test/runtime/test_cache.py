# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cache folder: where it is, what it is keyed by, and who may write to it."""

import os
import shutil
import tempfile

import pytest

from ubcn_ros.runtime import Engine
from ubcn_ros.runtime.cache import (
    cache_folder,
    digest,
    keep_kernels,
    private_folder,
    shown_name,
)


def test_the_cache_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'ubcn_ros'
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_folder() == tmp_path / '.cache' / 'ubcn_ros'


def test_keys_follow_their_values():
    assert digest('a', 1) == digest('a', 1) and len(digest('a')) == 16
    assert len({digest('a', 1), digest('a', 2), digest('a', '1'), digest('a1')}) == 4


@pytest.mark.parametrize('name', ['n' * 240, '模' * 80, 'a\udce9' + '模' * 80])
def test_long_names_are_cut_to_what_a_file_system_takes(tmp_path, name):
    shown = shown_name(name)
    assert len(os.fsencode(shown)) > 90 and name.replace('\udce9', '').startswith(shown)
    (tmp_path / f'.{shown}-bf16-8x2160x3840-{digest(name)}.new').mkdir()
    assert shown_name('ubcn-light') == 'ubcn-light'


def test_folders_of_code_are_for_their_owner_alone(tmp_path):
    folder = private_folder(tmp_path / 'new' / 'code')
    assert folder.stat().st_mode & 0o077 == 0
    assert private_folder(folder) == folder
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match=r'code.*mode 777.*XDG_CACHE_HOME'):
        private_folder(folder)


HOMES = {
    'no home, nobody knows the user': None,
    'not there, nor to be made': '/proc/nobody',
    'a file': '/dev/null',
    'relative': 'home',
}


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """Function that takes the home away, and leaves a temporary folder."""
    def without(home):
        monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
        if home is None:
            monkeypatch.delenv('HOME', raising=False)
            monkeypatch.setattr('pwd.getpwuid', lambda _: {}['uid not found'])
        else:
            monkeypatch.setenv('HOME', home)
        # root may write anywhere but to the file systems that nobody can
        real = os.access
        monkeypatch.setattr(os, 'access', lambda path, mode: not str(path).startswith('/proc')
                            and real(path, mode))
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    return without


@pytest.mark.parametrize('home', HOMES.values(), ids=HOMES)
def test_without_a_home_the_cache_is_a_private_temporary_folder(homeless, tmp_path, home):
    homeless(home)
    folder = cache_folder()
    assert folder == tmp_path / f'ubcn_ros-{os.getuid()}' == cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_of_somebody_else_is_not_taken(homeless, tmp_path):
    homeless(None)
    folder = tmp_path / f'ubcn_ros-{os.getuid()}'
    (tmp_path / 'mine').mkdir(mode=0o700)
    folder.symlink_to(tmp_path / 'mine')
    with pytest.raises(OSError, match='set XDG_CACHE_HOME to a folder'):
        cache_folder()
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(OSError, match='set XDG_CACHE_HOME to a folder'):
        cache_folder()


def test_no_place_at_all_says_what_to_set(homeless, monkeypatch):
    homeless(None)
    monkeypatch.setattr(tempfile, 'tempdir', '/proc/nowhere')
    with pytest.raises(OSError, match='set XDG_CACHE_HOME to a folder'):
        cache_folder()


def test_kernels_are_kept_where_there_is_no_home(homeless, monkeypatch, tmp_path):
    monkeypatch.setenv('TRITON_CACHE_DIR', 'x')  # so that it is put back
    keep_kernels()
    assert os.environ['TRITON_CACHE_DIR'] == 'x'
    monkeypatch.delenv('TRITON_CACHE_DIR')
    monkeypatch.setenv('HOME', str(tmp_path))
    keep_kernels()
    assert 'TRITON_CACHE_DIR' not in os.environ
    homeless(None)
    keep_kernels()
    assert os.environ['TRITON_CACHE_DIR'] == f'{tmp_path}/ubcn_ros-{os.getuid()}/triton'


def test_a_model_is_exported_without_a_home(homeless, tiny_model, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime')

    class Exported(Exception):
        """Enough is known."""

    def write_stages(network, info, folder, *_, **__):
        (folder / 'derain.onnx').touch()  # it can be written to
        raise Exported(folder)

    monkeypatch.setattr('ubcn_ros.runtime.backends.onnx.write_stages', write_stages)
    homeless(None)
    model = shutil.copy(tiny_model, tmp_path / f'{"n" * 240}.safetensors')
    with pytest.raises(Exported) as exported:
        Engine.load(model, device='cpu', precision='fp32', backend='onnxruntime')
    assert exported.value.args[0].parents[2] == tmp_path / f'ubcn_ros-{os.getuid()}' / 'onnx'
