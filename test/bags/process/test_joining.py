# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag in pieces, by range of time: joined, they are what one run writes."""

import errno
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from bag_files import write_rosbag2
from drives import (
    Engine,
    camera_info,
    drive,
    image,
    latched_drive,
    late_images,
    message,
    processed,
    stored,
    write_bag,
)
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from ubcn_ros.bags import CAMERA_INFO, BagError, open_bag
from ubcn_ros.bags.errors import BagLocked
from ubcn_ros.bags.process import Options, join, joining, plan, read_sidecar, run_job
from ubcn_ros.bags.process import jobs as jobs_module
from ubcn_ros.bags.process.jobs import pieces_folder, pieces_there
from ubcn_ros.bags.storage.sqlite_file import SqliteFile


def run_pieces(source, out, pieces, options=None):
    """Run jobs as other processes would, the last first."""
    jobs = [pickle.loads(pickle.dumps(job))
            for job in plan(source, out, options or Options(), pieces)]
    for job in reversed(jobs):
        run_job(job, engine=Engine())
    return jobs


def infos_apart():
    """Images whose CameraInfo, which changes, was recorded in another piece, before or after."""
    records = []
    for number in range(12):
        time = 1000 + 100 * number
        records.append(image('/front/image_raw', number, time))
        if number > 5:
            records.append(camera_info('/front/camera_info', 1, width=40 + number,
                                       time_ms=time + (250 if number % 2 else -50)))
    return sorted(records, key=lambda record: record.time_ns)


@pytest.mark.parametrize('pieces', [1, 2, 9])
@pytest.mark.parametrize('records', [drive, infos_apart, late_images, lambda: [
    camera_info('/camera_info', 3, 1000), message('/camera_info', CAMERA_INFO, b'broken', 1005),
    *(image('/image', n, 1010 + 2000 * n) for n in range(9))]])
def test_pieces_joined_equal_one_run(tmp_path, records, pieces):
    source = write_bag(tmp_path / 'in.mcap', records(), b'a note', {'driver': 'me'})
    jobs = run_pieces(source, tmp_path / 'out', pieces)
    if len(jobs) > 1:
        result = join(jobs, tmp_path / 'out')
        assert not pieces_folder(tmp_path / 'out').exists()
        assert result.errors == result.tally.malformed
    straight = processed(source, tmp_path / 'straight')
    assert stored(tmp_path / 'out') == stored(tmp_path / 'straight')
    ours, theirs = (read_sidecar(tmp_path / name) for name in ('out', 'straight'))
    for key in ('cameras', 'topics', 'skipped', 'malformed', 'problems', 'settings', 'input'):
        assert ours[key] == theirs[key], key
    assert ours['finished'] and straight.errors == straight.tally.malformed
    with open_bag(tmp_path / 'out') as reader:
        assert len(list(reader.attachments())) == 1


def test_pieces_from_a_start_on_have_what_was_latched_before_once(tmp_path):
    source, options = write_bag(tmp_path / 'in.mcap', latched_drive()), Options(start_s=0.3)
    join(run_pieces(source, tmp_path / 'out', 3, options), tmp_path / 'out')
    processed(source, tmp_path / 'straight', options)
    assert stored(tmp_path / 'out') == stored(tmp_path / 'straight')
    assert len(stored(tmp_path / 'out', '/tf_static')) == 4


def test_a_joined_bag_is_read_by_others_and_counts_as_one_run(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive())
    result = join(run_pieces(source, tmp_path / 'out', 3), tmp_path / 'out')
    files = sorted(path.name for path in (tmp_path / 'out').glob('*.mcap'))
    assert files == ['out_0.mcap', 'out_1.mcap', 'out_2.mcap']
    count = 0
    for file in files:
        with (tmp_path / 'out' / file).open('rb') as stream:
            count += sum(1 for _ in make_reader(stream).iter_messages())
    assert count == result.tally.written.total()
    with AnyReader([tmp_path / 'out']) as reader:
        assert reader.message_count == count
    assert processed(source, tmp_path / 'out', resume=True).tally.written == result.tally.written


def test_the_files_of_a_bag_are_checked_once_for_all_pieces(tmp_path, monkeypatch):
    checked, check = [], SqliteFile.check
    monkeypatch.setattr(SqliteFile, 'check', lambda self: checked.append(1) or check(self))
    source = write_rosbag2(tmp_path / 'in', [
        (r.channel.topic, r.channel.msgtype, r.time_ns, r.data) for r in drive(4)])
    join(run_pieces(source, tmp_path / 'out', 3), tmp_path / 'out')
    assert len(checked) == 1


def test_pieces_that_are_not_finished_are_not_joined(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive())
    jobs = plan(source, tmp_path / 'out', Options(), 2)
    run_job(jobs[0], engine=Engine())
    with pytest.raises(BagError, match=r'out.pieces/0001-of-0002, a piece of .*, is not finished'):
        join(jobs, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_pieces_of_different_models_are_not_joined(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive())
    jobs = plan(source, tmp_path / 'out', Options(), 2)
    other = Engine()
    other.info = SimpleNamespace(name='inverse', sha256='1' * 64)
    run_job(jobs[0], engine=Engine())
    run_job(jobs[1], engine=other)
    with pytest.raises(BagError, match=r"0001-of-0002 cannot be .*: --model was '0000"):
        join(jobs, tmp_path / 'out')


@pytest.mark.parametrize('place', ['write_metadata', 'check_output', 'rename'])
def test_joining_may_be_interrupted_and_begun_again(tmp_path, monkeypatch, place):
    source = write_bag(tmp_path / 'in.mcap', drive())
    jobs = run_pieces(source, tmp_path / 'out', 2)
    with monkeypatch.context() as patched:
        def stop(*_, **__):
            raise KeyboardInterrupt
        if place == 'rename':
            patched.setattr(Path, 'rename', stop)
        else:
            patched.setattr(f'ubcn_ros.bags.process.joining.{place}', stop)
        with pytest.raises(KeyboardInterrupt):
            join(jobs, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    written = join(jobs, tmp_path / 'out').tally.written
    assert join(jobs, tmp_path / 'out').tally.written == written  # once more changes nothing
    processed(source, tmp_path / 'straight')
    assert stored(tmp_path / 'out') == stored(tmp_path / 'straight')


def test_pieces_stay_where_the_bag_is_not_what_was_joined(tmp_path, monkeypatch):
    source = write_bag(tmp_path / 'in.mcap', drive())
    jobs = run_pieces(source, tmp_path / 'out', 2)
    with monkeypatch.context() as patched:
        patched.setattr(joining.shutil, 'rmtree', lambda *_, **__: None)  # as after a kill
        join(jobs, tmp_path / 'out')
    (tmp_path / 'out' / 'out_1.mcap').unlink()
    with pytest.raises(BagError, match='out is not what was written'):
        join(jobs, tmp_path / 'out')
    assert pieces_there(tmp_path / 'out') == 2


def test_only_one_process_joins_a_bag(tmp_path, monkeypatch):
    source = write_bag(tmp_path / 'in.mcap', drive())
    jobs = run_pieces(source, tmp_path / 'out', 2)
    check = joining.check_output

    def second(*arguments):
        monkeypatch.setattr(joining, 'check_output', check)
        with pytest.raises(BagLocked, match='out.pieces is being written by another process'):
            join(jobs, tmp_path / 'out')
        check(*arguments)

    monkeypatch.setattr(joining, 'check_output', second)
    join(jobs, tmp_path / 'out')
    processed(source, tmp_path / 'straight')
    assert stored(tmp_path / 'out') == stored(tmp_path / 'straight')


def test_the_number_of_pieces_follows_from_the_images(tmp_path, monkeypatch):
    source, out = write_bag(tmp_path / 'in.mcap', drive(10)), tmp_path / 'out'
    assert len(plan(source, out, Options(), None)) == 1 and pieces_there(out) is None
    monkeypatch.setattr(jobs_module, 'PIECE_IMAGES', 5)
    planned = plan(source, out, Options(), None)
    assert len(planned) == 4
    assert len(plan(source, out, Options(duration_s=0.45), None)) == 2
    run_job(planned[2], engine=Engine())
    assert pieces_there(out) == 4
    monkeypatch.setattr(jobs_module, 'PIECE_IMAGES', 0.1)
    assert len(plan(source, out, Options(), None)) == 64


def compressed(folder):
    source = write_bag(folder / 'in.mcap', drive(10))
    packed = source.with_name('in.mcap.zstd')
    packed.write_bytes(zstandard.compress(source.read_bytes()))
    return packed


def of_a_killed_recorder(folder):
    source = write_bag(folder / 'in.mcap', drive(10))
    source.write_bytes(source.read_bytes()[:-40])  # its footer
    return source


def database(folder, journal):
    path = write_rosbag2(folder / 'in', [(r.channel.topic, r.channel.msgtype, r.time_ns, r.data)
                                         for r in drive(10)])
    if journal:
        (path / 'in.db3-journal').write_bytes(b'of a recorder that was killed')
    return path


@pytest.mark.parametrize('make, parts', [
    (compressed, False), (of_a_killed_recorder, False), (lambda folder: database(folder, True),
                                                         False),
    (lambda folder: database(folder, False), True)], ids=['zstd', 'killed', 'journal', 'sqlite3'])
def test_a_bag_that_is_read_as_a_whole_is_cut_only_when_asked(tmp_path, monkeypatch, make, parts):
    """Each piece would decompress, go through, or copy all of it; that is told."""
    source = make(tmp_path)
    monkeypatch.setattr(jobs_module, 'PIECE_IMAGES', 5)
    for pieces, count in ((None, 4 if parts else 1), (3, 3), (1, 1)):
        jobs = plan(source, tmp_path / 'out', Options(), pieces)
        assert len(jobs) == count
        assert ['each of the 3 pieces of' in note for note in jobs[0].notes] == [True] * (
            not parts and pieces == 3)


@pytest.mark.parametrize('links', [True, False])
def test_pieces_are_removed_once_their_files_are_on_the_disk(tmp_path, monkeypatch, links):
    def link(*_):
        raise OSError(errno.EPERM, 'no hard links here')
    synced = []
    sync = os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: synced.append(
        os.readlink(f'/proc/self/fd/{file}')) or sync(file))
    source, out = write_bag(tmp_path / 'in.mcap', drive()), tmp_path / 'out'
    jobs = plan(source, out, Options(), 2)
    for job in jobs:
        run_job(job, engine=Engine())
    if not links:
        monkeypatch.setattr(os, 'link', link)
    synced.clear()
    join(jobs, out)
    copied = {Path(name).name for name in synced if name.endswith('.mcap')}
    assert copied == (set() if links else {'out_0.mcap', 'out_1.mcap'})


def test_with_every_a_bag_is_one_piece(tmp_path):
    source = write_bag(tmp_path / 'in.mcap', drive())
    assert len(plan(source, tmp_path / 'out', Options(every=2), 4)) == 1
