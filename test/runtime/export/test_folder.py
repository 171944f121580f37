# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An export takes its place whole, and the one before is there until then."""

import os
import signal

import pytest

from ubcn_ros.runtime.export import folder as module
from ubcn_ros.runtime.export.folder import atomic_folder, check_replaceable
from ubcn_ros.runtime.installed import EXPORTED
from ubcn_ros.stopping import Stopped, stop_on_signals


def write(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / EXPORTED).write_text(text)


def export(folder, text, **options):
    with atomic_folder(folder, **options) as made:
        write(made, text)


@pytest.fixture
def folder(tmp_path):
    """A folder with an export, alone in its own."""
    write(tmp_path / 'export', 'old')
    return tmp_path / 'export'


def held(folder):
    """Tell what an export is, which must be all that there is beside it."""
    assert [*folder.parent.iterdir()] == [folder]
    return (folder / EXPORTED).read_text()


@pytest.mark.parametrize('stopped', ['os.replace', 'shutil.rmtree'])
def test_a_signal_leaves_an_export(folder, monkeypatch, stopped):
    name = stopped.split('.')[1]
    original, there = getattr(getattr(module, stopped.split('.')[0]), name), []

    def signalled(path, *others, **options):
        there.append(folder.exists())
        if len(there) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(path, *others, **options)
    monkeypatch.setattr(f'ubcn_ros.runtime.export.folder.{stopped}', signalled)
    with pytest.raises(Stopped), stop_on_signals():
        export(folder, 'new')
    monkeypatch.undo()
    assert there[0], 'the old one is not removed before the new one is there'
    assert (folder / EXPORTED).read_text() == 'new'


@pytest.mark.parametrize('name', ['old', 'new', 'before'])
def test_an_export_of_any_name_is_replaced(tmp_path, name):
    export(tmp_path / name, 'old')
    export(tmp_path / name, 'new')
    assert held(tmp_path / name) == 'new'


def test_an_export_that_cannot_take_the_place_leaves_the_one_before(folder, monkeypatch):
    replace = os.replace

    def failing(source, target):
        if source.parent != folder.parent and source.name != 'before':
            raise PermissionError(13, 'Permission denied', str(source), None, str(target))
        replace(source, target)
    monkeypatch.setattr('ubcn_ros.runtime.export.folder.os.replace', failing)
    with pytest.raises(PermissionError) as caught:
        export(folder, 'new')
    assert str(caught.value) == f"[Errno 13] Permission denied: '{folder}'"
    assert held(folder) == 'old'


@pytest.mark.parametrize('before', ['nothing', 'an export'])
@pytest.mark.parametrize('keep_newer', [True, False])
def test_one_that_was_made_meanwhile_may_stay(folder, before, keep_newer):
    if before == 'nothing':
        (folder / EXPORTED).unlink()
        folder.rmdir()
    with atomic_folder(folder, keep_newer=keep_newer) as made:
        write(made, 'mine')
        export(folder, "another's")
    assert held(folder) == ("another's" if keep_newer else 'mine')


def test_what_came_meanwhile_and_is_no_export_stays(tmp_path):
    folder = tmp_path / 'export'
    with pytest.raises(ValueError, match='export is there and is not an export'), \
            atomic_folder(folder) as made:
        write(made, 'new')
        folder.write_text('notes')
    assert [*tmp_path.iterdir()] == [folder] and folder.read_text() == 'notes'


@pytest.mark.parametrize('target', ['an export', 'an empty folder', 'nothing'])
def test_a_link_stays_one(tmp_path, target):
    there, link = tmp_path / 'v1', tmp_path / 'current'
    if target != 'nothing':
        there.mkdir()
    if target == 'an export':
        write(there, 'old')
    link.symlink_to('v1')
    export(link, 'new')
    assert link.is_symlink() and (there / EXPORTED).read_text() == 'new'
    assert sorted(tmp_path.iterdir()) == [link, there]


def test_a_mount_point_is_refused_before_the_work(tmp_path):
    (tmp_path / 'link').symlink_to('/proc')
    for folder in ('/proc', tmp_path / 'link'):
        with pytest.raises(ValueError, match=f'{folder} is a mount point, which cannot be '
                           'replaced: choose a folder inside it'):
            check_replaceable(folder)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / 'file').touch()
    for folder in (tmp_path / 'file' / 'export', tmp_path / 'file' / 'deeper' / 'export'):
        with pytest.raises(OSError, match=f"'{folder}'$"):
            export(folder, 'new')
