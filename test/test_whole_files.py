# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files are the old ones or the new ones, never half of one."""

import errno
import os
import resource
import stat
from contextlib import nullcontext

import pytest

from ubcn_ros.whole_files import errors_named, sync_folder, write_whole


@pytest.mark.parametrize('durable', [False, True])
def test_a_file_is_made_with_its_folder_and_replaced(tmp_path, durable):
    path = tmp_path / 'new' / 'name.json'
    for data in (b'one', b'two'):
        write_whole(path, data, durable)
        assert path.read_bytes() == data and os.listdir(path.parent) == ['name.json']


@pytest.mark.parametrize('durable', [False, True])
@pytest.mark.parametrize('before', [None, b'what was there'])
def test_on_a_full_disk_the_old_file_stays_and_is_named(tmp_path, before, durable):
    target = tmp_path / 'page.html'
    if before is not None:
        target.write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large: '.*page.html'$"):
            write_whole(target, bytes(3000), durable)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before] * bool(before)


@pytest.mark.parametrize('before', [None, b'old'])
def test_what_is_interrupted_leaves_the_old_file(tmp_path, monkeypatch, before):
    path = tmp_path / 'name'
    if before:
        path.write_bytes(before)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b'new')
    assert [there.read_bytes() for there in tmp_path.iterdir()] == [before] * bool(before)


def test_a_link_stays_one_and_a_mode_is_kept(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    path.chmod(0o640)
    (tmp_path / 'link').symlink_to(path)
    write_whole(tmp_path / 'link', b'new')
    assert (tmp_path / 'link').is_symlink() and path.read_bytes() == b'new'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_is_replaced_where_modes_cannot_be_changed(tmp_path, monkeypatch):
    def refused(path, *_, **__):  # as by vfat, exFAT and CIFS for another user's mount
        raise PermissionError(errno.EPERM, 'Operation not permitted', str(path))

    monkeypatch.setattr(os, 'chmod', refused)
    for data in (b'one', b'two'):
        write_whole(tmp_path / 'file', data)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [data]


def test_a_device_is_written_to_as_it_is():
    with pytest.raises(OSError, match='No space left.*/dev/full'):
        write_whole('/dev/full', b'text')
    write_whole('/dev/null', b'text')
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)


@pytest.mark.parametrize('error, only_nameless, expected', [
    (OSError(28, 'full'), False, "[Errno 28] full: 'asked'"),
    (OSError(28, 'full'), True, "[Errno 28] full: 'asked'"),
    (OSError(28, 'full', 'a', None, 'b'), False, "[Errno 28] full: 'asked'"),
    (OSError(28, 'full', 'a'), True, "[Errno 28] full: 'a'"),
    (OSError('a text'), False, 'a text')])
def test_errors_name_what_was_asked_for(error, only_nameless, expected):
    with pytest.raises(OSError) as found, errors_named('asked', only_nameless):
        raise error
    assert str(found.value) == expected


@pytest.mark.parametrize('number', [errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EIO])
def test_file_systems_need_not_know_how_to_sync_a_folder(tmp_path, monkeypatch, number):
    def sync(file):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(os, 'fsync', sync)
    with pytest.raises(OSError) if number == errno.EIO else nullcontext():
        sync_folder(tmp_path)
