# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Damaged bags: what is whole before and after is read, and the rest is told."""

import random
import sqlite3
import time

import pytest
import zstandard
from bag_files import NO_SUMMARY, SECOND, found, pictures, serialized, write_mcap, write_rosbag2
from command_line import ubcn
from mcap.reader import make_reader
from mcap.writer import CompressionType
from random_images import noise
from rosbags.rosbag2 import CompressionMode

from ubcn_ros.bags import BagError, MalformedMessage, create, deserialize, open_bag, read_images

NUMBERS = list(range(1, 21))


def chunks(path):
    """Offset and length of each chunk of an mcap file."""
    with path.open('rb') as file:
        return [(c.chunk_start_offset, c.chunk_length)
                for c in make_reader(file).get_summary().chunk_indexes]


def overwrite(path, at, data):
    with path.open('r+b') as file:
        file.seek(at)
        file.write(data)


def cut(path, size):
    with path.open('r+b') as file:
        file.truncate(size)


@pytest.mark.parametrize('options', [
    {}, {'compression': CompressionType.ZSTD}, {'compression': CompressionType.LZ4}], ids=str)
@pytest.mark.parametrize('summary', [True, False])
@pytest.mark.parametrize('place', ['data', 'head'])
def test_chunks_before_and_after_a_damaged_one_are_read(tmp_path, options, summary, place):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, **options)
    offset, length = chunks(path)[1]
    if not summary:  # the footer says that there is none
        overwrite(path, path.stat().st_size - 28, bytes(8))
    overwrite(path, offset + (length // 2 if place == 'data' else 0), b'\xff' * 50)
    numbers, problems = found(path)
    assert 15 <= len(numbers) < 20 and sorted(numbers) == numbers
    assert numbers[0] == 1 and numbers[-1] == 20
    assert f'x.mcap is damaged at byte {offset} (' in problems[0]
    assert 'give another copy' in problems[0]
    if summary:
        assert f'20 messages are announced, {len(numbers)} were found' in problems[-1]


def test_messages_before_the_damage_in_a_chunk_without_checksum_are_read(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1 << 20, enable_crcs=False)
    offset, length = chunks(path)[0]
    place = path.read_bytes().index(serialized(11)[:20])
    overwrite(path, place - 31, b'\xff' * 9)  # opcode and length of the eleventh
    numbers, problems = found(path)
    assert numbers == NUMBERS[:10]
    assert 'a record in it is not whole' in problems[0]
    assert '20 messages are announced, 10 were found' in problems[1]


@pytest.mark.parametrize('options', [{}, {'compression': CompressionType.ZSTD},
                                     {'use_chunking': False}], ids=str)
def test_a_cut_recording_is_read_up_to_there(tmp_path, options):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, **options)
    place = path.stat().st_size * 2 // 3
    cut(path, place)
    numbers, problems = found(path)
    assert numbers == NUMBERS[:len(numbers)] and len(numbers) >= 9
    assert 'was not closed' in problems[0] and '`mcap recover`' in problems[0]


def test_a_topic_whose_name_is_lost_is_told(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, **NO_SUMMARY)
    overwrite(path, 100, b'\xff' * 4)
    with pytest.raises(BagError, match='no record in it that names a topic is whole'):
        found(path)


@pytest.fixture
def database(tmp_path):
    path = write_rosbag2(tmp_path / 'bag', pictures(NUMBERS, height=60, width=80)) / 'bag.db3'
    connection = sqlite3.connect(path)
    (page,) = connection.execute('PRAGMA page_size').fetchone()
    connection.close()
    return path, page


def stamps(bag):
    images, seconds = read_images(bag), []
    try:
        for image in images:
            seconds.append(image.stamp_ns // SECOND)
    except BagError as error:
        return seconds, str(error)
    return seconds, ''


@pytest.mark.parametrize('name', ['messages', 'timestamp_idx'])
@pytest.mark.parametrize('whole', [True, False])
def test_rows_before_and_after_damaged_pages_are_read(database, name, whole):
    path, page = database
    data = path.read_bytes()
    leaf = {'messages': 0x0d, 'timestamp_idx': 0x0a}[name]
    pages = [n for n in range(1, len(data) // page) if data[n * page] == leaf]
    damaged = pages[len(pages) // 2]
    overwrite(path, damaged * page, b'\xff' * (page if whole else 8))
    seconds, error = stamps(path.parent)
    if name == 'timestamp_idx':
        assert seconds == NUMBERS
    else:
        assert 15 <= len(seconds) < 20 and seconds[0] == 1 and seconds[-1] == 20
        assert 'bag.db3 is damaged (' in error and 'give another copy' in error
        assert f'20 messages are announced, {len(seconds)} were found' in error


def test_where_the_times_of_rows_are_damaged_they_count_as_without_a_pause(database):
    path, page = database
    data = path.read_bytes()
    for number in range(1, len(data) // page):
        if data[number * page] == 0x0a:  # of an index
            overwrite(path, number * page, b'\xff' * page)
    with open_bag(path.parent) as reader:
        assert reader.parts(1) == [(SECOND, 20 * SECOND + 1)]


def test_a_row_whose_data_are_damaged_is_left_out(database):
    path, page = database
    place = path.read_bytes().index(noise(10, 60, 80).tobytes()[6000:6100])
    overwrite(path, place // page * page, b'\xff' * page)  # a page that its data overflow to
    seconds, error = stamps(path.parent)
    assert seconds == [n for n in NUMBERS if n != 10]
    assert '20 messages are announced, 19 were found' in error


def test_a_cut_database_is_read_up_to_there(database):
    path, _ = database
    cut(path, path.stat().st_size * 2 // 3)
    seconds, error = stamps(path.parent)
    assert seconds == NUMBERS[:len(seconds)] and 12 <= len(seconds) < 20
    assert f'20 messages are announced, {len(seconds)} were found' in error


def test_a_journal_is_read_and_the_bag_stays_as_it_is(database, tmp_path):
    path, _ = database
    connection = sqlite3.connect(path)
    connection.executescript('PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0')
    connection.execute('INSERT INTO messages (topic_id, timestamp, data) '
                       'SELECT topic_id, timestamp + 1, data FROM messages WHERE id = 20')
    connection.commit()
    copy = tmp_path / 'copy'
    copy.mkdir()
    for source in path.parent.glob('*.db3*'):
        (copy / source.name).write_bytes(source.read_bytes())
    connection.close()
    before = {file: file.read_bytes() for file in copy.iterdir()}
    link = tmp_path / 'link.db3'  # beside which there is no journal
    link.symlink_to(copy / 'bag.db3')
    for path in (copy / 'bag.db3', link):
        with open_bag(path) as reader:
            assert reader.connections[0].msgcount == 21
            assert 'was not closed' in reader.notes[0]
    assert {file: file.read_bytes() for file in copy.iterdir()} == before


def compressed(path, storage, mode):
    write_rosbag2(path, pictures(NUMBERS), storage, mode)
    return next(file for file in path.iterdir() if file.name != 'metadata.yaml')


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
def test_one_damaged_zstd_message_is_malformed_and_the_next_is_read(tmp_path, storage):
    file = compressed(tmp_path / 'bag', storage, CompressionMode.MESSAGE)
    place = file.read_bytes().index(zstandard.compress(serialized(7))[4:40]) - 4
    overwrite(file, place + 4, b'\xff' * 6)
    images, seconds = [], []
    with open_bag(tmp_path / 'bag') as reader:
        for record in reader.records():
            seconds.append(record.time_ns // SECOND)
            try:
                images.append(deserialize(record.data, record.channel.msgtype))
            except MalformedMessage as error:
                assert seconds[-1] == 7 and 'zstd compression is damaged' in str(error)
        assert seconds == NUMBERS and len(images) == 19
        assert reader.problems(reader.connections[0], 20) == []


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('how', ['cut', 'damaged'])
def test_a_zstd_file_is_read_as_far_as_it_goes(tmp_path, storage, how):
    write_rosbag2(tmp_path / 'bag', pictures(range(1, 201)), storage, CompressionMode.FILE)
    file = next(file for file in (tmp_path / 'bag').iterdir() if file.suffix == '.zstd')
    place = file.stat().st_size * 3 // 4
    if how == 'cut':
        cut(file, place)
    else:
        overwrite(file, place, b'\xff' * 150_000)  # headers of its blocks, too
    numbers, problems = found(tmp_path / 'bag')
    assert 80 < len(numbers) < 200 and numbers == list(range(1, len(numbers) + 1))
    text = {'cut': 'it is cut off', 'damaged': 'zstd compression is damaged'}[how]
    assert any(text in problem for problem in problems)
    told = [f'200 messages are announced, {count} were found'  # the last may be damaged
            for count in (len(numbers), len(numbers) + 1)]
    assert any(text in problems[-1] for text in told)


def test_the_command_processes_what_is_whole_and_fails(tmp_path, tiny_model):
    path = write_mcap(tmp_path / 'x.mcap', range(1, 7), chunk_size=1)
    offset, _ = chunks(path)[2]
    overwrite(path, offset + 500, b'\xff' * 9)
    done = ubcn('bag', 'process', path, tmp_path / 'out', '--model', tiny_model, '--device', 'cpu',
                '--iterations', 1)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert f'Error: {path} is damaged at byte {offset}' in done.output
    assert 'Error: /image: 6 messages are announced, 5 were found' in done.output
    assert '5 images of /image written' in done.output
    labels = read_images(tmp_path / 'out', '/labels/image_raw')
    assert [image.stamp_ns // SECOND for image in labels] == [1, 2, 4, 5, 6]


def test_whatever_the_damage_fewer_images_are_never_silent(tmp_path):
    write_rosbag2(tmp_path / 'sqlite3', pictures(NUMBERS))
    create([noise(n) for n in NUMBERS], tmp_path / 'mcap', '/image')
    compressed(tmp_path / 'messages', 'MCAP', CompressionMode.MESSAGE)
    compressed(tmp_path / 'file', 'SQLITE3', CompressionMode.FILE)
    files = [next(file for file in (tmp_path / name).iterdir() if file.name != 'metadata.yaml')
             for name in ('sqlite3', 'mcap', 'messages', 'file')]
    originals = {file: file.read_bytes() for file in files}
    choice, start = random.Random(0), time.thread_time()
    for _ in range(120):
        file = choice.choice(files)
        data = bytearray(originals[file])
        at, size = choice.randrange(len(data)), choice.choice([1, 20, 500, 5000])
        kind = choice.randrange(4)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at:at + size]
        else:
            size = min(size, len(data) - at)
            data[at:at + size] = bytes(size) if kind == 2 else choice.randbytes(size)
        file.write_bytes(data)
        try:
            with open_bag(file.parent) as reader:
                connection = reader.connections[0]
                count = sum(1 for _ in reader.records(reader.channels_of(connection)))
                assert count == 20 or reader.problems(connection, count), (file, kind, at, size)
        except BagError as error:
            assert '\n' not in str(error)
        file.write_bytes(originals[file])
    assert time.thread_time() - start < 60
