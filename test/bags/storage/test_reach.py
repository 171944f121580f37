# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A disk that is gone ends the reading; a place that cannot be read is damage, and no more."""

import errno
import os
from pathlib import Path

import pytest
from bag_files import SECOND, pictures, write_mcap, write_rosbag2
from drives import Engine, processed
from test_ros1 import picture_of
from test_ros1 import write as write_ros1

from ubcn_ros.bags import IMAGE, BagError, open_bag
from ubcn_ros.bags.errors import BagOutOfReach
from ubcn_ros.bags.process import read_sidecar
from ubcn_ros.bags.storage import mcap_file, mcap_layout, reach
from ubcn_ros.bags.storage.reach import check_in_reach

NUMBERS = list(range(1, 13))
KINDS = ['mcap', 'sqlite3', 'ros1']


def write(folder, kind):
    """Write a bag of pictures, of which memory has not all with the first; return its file."""
    if kind == 'mcap':
        return write_mcap(folder / 'x.mcap', NUMBERS)
    if kind == 'ros1':
        return write_ros1(folder / 'x.bag', [('/image', IMAGE, n, picture_of(n))
                                             for n in NUMBERS[:2]])
    return write_rosbag2(folder / 'x', pictures(NUMBERS, height=200, width=300)) / 'x.db3'


def descriptors(path):
    """Those that this process has of a file."""
    found = []
    for number in os.listdir('/proc/self/fd'):
        try:
            if os.readlink(f'/proc/self/fd/{number}') == str(path):
                found.append(int(number))
        except OSError:  # that of listdir
            pass
    return found


def unplug(path, which=slice(None)):
    """Let reading fail with EIO from now on, as of a disk that was unplugged and is back."""
    gone = os.open('/proc/self/mem', os.O_RDONLY)  # of which nothing is at the first addresses
    for number in descriptors(path)[which]:
        os.dup2(gone, number)
    os.close(gone)


@pytest.mark.parametrize('kind', KINDS)
def test_a_disk_that_is_gone_is_not_damage(tmp_path, kind):
    path = write(tmp_path, kind)
    with open_bag(path) as reader:
        records = reader.records()
        next(records)
        unplug(path)
        with pytest.raises(BagOutOfReach, match=r'/x\..* could not be read on: .*; see that its '
                                                'disk or server is there, and run the same'):
            list(records)
        assert not reader.met


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3'])
def test_a_run_whose_disk_goes_away_is_gone_on_with(tmp_path, kind):
    path, out = write(tmp_path, kind), tmp_path / 'out'
    with pytest.raises(BagOutOfReach):
        processed(path, out, engine=Engine(lambda seen: seen == 3 and unplug(path)))
    assert read_sidecar(out)['finished'] is False
    result = processed(path, out, resume=True)
    assert result.tally.frames == len(NUMBERS) and result.errors == []


class LostPlace:
    """A file of which one place cannot be read."""

    def __init__(self, file, start, end):
        self._file, self._start, self._end = file, start, end

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def read(self, size=-1):
        at = self._file.tell()
        if at < self._end and (size < 0 or at + size > self._start):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.read(size)


def lose(monkeypatch, start, end):
    """Let one place of every file that is opened from now on be lost."""
    monkeypatch.setattr(Path, 'open', lambda *arguments, plain=Path.open, **options: LostPlace(
        plain(*arguments, **options), start, end))


def test_a_lost_sector_is_damage_of_what_is_there(tmp_path, monkeypatch):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1)
    with open_bag(path) as reader:
        (storage,) = reader._storages
        place = storage._blocks[4].offset + 512
        monkeypatch.setattr(storage, '_file', LostPlace(storage._file, place, place + 512))
        assert [record.time_ns // SECOND for record in reader.records()] == [
            number for number in NUMBERS if number != 5]
        (line,) = reader.met
        assert 'is damaged at byte' in line and os.strerror(errno.EIO) in line


@pytest.mark.parametrize('lost', [(0, 512), (-5, 300), (30, 20_000)])
def test_a_lost_sector_of_a_file_without_an_index_costs_what_is_there(tmp_path, monkeypatch, lost):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1)
    with open_bag(path) as reader:
        place = reader._storages[0]._blocks[4].offset
    os.truncate(path, path.stat().st_size - 10)
    lose(monkeypatch, *(place + edge for edge in lost))
    with open_bag(path) as reader:
        found = [record.time_ns // SECOND for record in reader.records()]
        missing = {*NUMBERS} - {*found}
        assert min(missing) in (4, 5) and max(missing) - min(missing) < 5
        assert any(f'is damaged at byte {place}' in line for line in reader.met), reader.met


@pytest.mark.parametrize('pages, lost', [(1, {8, 9}), (4, {5, 6, 7, 8, 9})])
def test_what_begins_behind_a_lost_page_is_read(tmp_path, monkeypatch, pages, lost):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1)
    with open_bag(path) as reader:
        end = reader._storages[0]._blocks[9].offset // 4096 * 4096
    os.truncate(path, path.stat().st_size - 10)
    lose(monkeypatch, end - 4096 * pages, end)
    with open_bag(path) as reader:
        found = {record.time_ns // SECOND for record in reader.records()}
    assert found == {*NUMBERS} - lost


def test_a_disk_that_goes_away_in_a_search_is_not_damage(tmp_path, monkeypatch):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1)
    path.write_bytes(path.read_bytes()[:-10].replace(b'\x06', b'\0'))
    search = mcap_layout._next_chunk

    def unplugged(*arguments):
        unplug(path)
        return search(*arguments)
    monkeypatch.setattr(mcap_layout, '_next_chunk', unplugged)
    with pytest.raises(BagOutOfReach), open_bag(path):
        pass


def test_of_a_database_a_lost_place_is_damage(tmp_path):
    """SQLite's file alone fails here, and another of the same can be read."""
    path = write(tmp_path, 'sqlite3')
    with open_bag(path) as reader:
        first = descriptors(path)
        assert len(first) == 2
        own = reader._storages[0]._file.fileno()
        unplug(path, slice(first.index(own) ^ 1, (first.index(own) ^ 1) + 1))
        assert not [*reader.records()]
        assert 'is damaged (database disk image is malformed)' in reader.met[0]


@pytest.mark.parametrize('lost, gone', [([], False), ([3], False), ([0, 1, 2, 3], False),
                                        ([1, 2, 4, 5, 8], True)])
def test_a_disk_is_gone_where_most_places_of_a_file_are(tmp_path, monkeypatch, lost, gone):
    (tmp_path / 'x').write_bytes(bytes(90_000))

    def pread(descriptor, size, at):
        if at // 10_000 in lost:
            raise OSError(errno.EIO, '')
        return b''

    monkeypatch.setattr(reach.os, 'pread', pread)
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    if gone:
        with pytest.raises(BagOutOfReach):
            check_in_reach(tmp_path / 'x', 'x', error)
    else:
        check_in_reach(tmp_path / 'x', 'x', error)


@pytest.mark.parametrize('code, gone', [(errno.EIO, True), (errno.ESTALE, True),
                                        (errno.EACCES, False), (errno.EMFILE, False)])
def test_a_file_that_cannot_be_opened_again_is_gone_for_what_may_come_back(tmp_path, code, gone):
    error = OSError(code, os.strerror(code))
    if gone:
        with pytest.raises(BagOutOfReach):
            check_in_reach(tmp_path / 'absent', 'x', error)
    else:
        check_in_reach(tmp_path / 'absent', 'x', error)


@pytest.mark.parametrize('code', [errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_a_server_that_does_not_answer_is_told(tmp_path, monkeypatch, code):
    write_mcap(tmp_path / 'x.mcap', [1, 2, 3])

    def failing(*_):
        raise OSError(code, os.strerror(code))
    with open_bag(tmp_path / 'x.mcap') as reader:
        monkeypatch.setattr(mcap_file, 'parse_chunk', failing)
        with pytest.raises(BagError, match=f'{os.strerror(code)}; see that its disk'):
            list(reader.records())


@pytest.mark.parametrize('read', ['iterdir', 'read_text'])
def test_a_folder_whose_server_is_gone_is_out_of_reach(tmp_path, monkeypatch, read):
    write(tmp_path, 'sqlite3')

    def failing(path, *_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
    monkeypatch.setattr(Path, read, failing)
    with pytest.raises(BagOutOfReach, match='see that its disk'), open_bag(tmp_path / 'x'):
        pass


def test_a_disk_that_goes_away_after_the_last_message_is_not_damage(tmp_path):
    path = write(tmp_path, 'sqlite3')
    with open_bag(path) as reader:
        assert len([*reader.records()]) == len(NUMBERS)
        unplug(path)
        path.unlink()
        for _ in range(2):
            with pytest.raises(BagOutOfReach):
                reader.damage  # noqa: B018 (checks all pages)


@pytest.mark.parametrize('code, gone', [(errno.ESTALE, True), (errno.EIO, False)])
def test_of_the_header_of_a_database(tmp_path, monkeypatch, code, gone):
    path = write(tmp_path, 'sqlite3')
    pread = os.pread

    def failing(descriptor, size, at):
        if size == 100:
            raise OSError(code, os.strerror(code))
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, 'pread', failing)
    with open_bag(path) as reader:
        if gone:
            with pytest.raises(BagOutOfReach):
                reader.damage  # noqa: B018
        else:
            assert f'is damaged ({os.strerror(code)})' in reader.damage[0]
