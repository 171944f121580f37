# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""mcap files with a damaged summary, footer or record head: no frame goes missing unsaid."""

import struct

import pytest
from bag_files import NO_SUMMARY, found, write_mcap
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.writer import IndexType

from ubcn_ros.bags import open_bag
from ubcn_ros.bags.storage import mcap_layout

NUMBERS = list(range(1, 10))
NO_INDEX = {'index_types': IndexType.NONE}


def records(data, kind):
    """Offsets of the records of a kind at the top level."""
    offset, offsets = 8, []
    while offset + 9 < len(data):
        opcode, length = struct.unpack_from('<BQ', data, offset)
        if opcode == kind:
            offsets.append(offset)
        offset += 9 + length
    return offsets


def change(path, at, value):
    data = bytearray(path.read_bytes())
    data[at] = value
    path.write_bytes(data)


@pytest.mark.parametrize('what', ['topic', 'channel', 'encoding', 'count', 'footer', 'magic'])
def test_the_data_are_read_where_the_summary_is_damaged(tmp_path, what):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, channels=2)
    data = path.read_bytes()
    with path.open('rb') as file:
        statistics = make_reader(file).get_summary().statistics
    counts = struct.pack('<Q', statistics.message_count)
    place = {'topic': data.rindex(b'/image') + 2, 'channel': data.rindex(b'/image') - 8,
             'encoding': data.rindex(b'cdr'), 'count': data.rindex(counts),
             'footer': len(data) - 37 + 9, 'magic': len(data) - 2}[what]
    change(path, place, 7)
    assert found(path, '/image') == (NUMBERS, [])
    with open_bag(path) as reader:
        assert [(c.topic, c.msgcount) for c in reader.connections] == [('/image', 9)]
        assert 'damaged end' in reader.notes[0]


def test_a_summary_without_checksum_that_lacks_a_channel_is_not_taken(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, channels=2, enable_crcs=False)
    change(path, path.read_bytes().rindex(b'/image') - 8, 9)
    assert found(path) == (NUMBERS, [])


def test_a_summary_without_checksum_that_names_another_topic_is_told(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, channels=2, enable_crcs=False)
    change(path, path.read_bytes().rindex(b'/image') + 1, ord('x'))
    numbers, problems = found(path, '/image')
    assert len(numbers) < 9 and 'names topic /image, the end of the file another' in problems[0]


@pytest.mark.parametrize('opcode', [2, 7, 15, 16, 127])
@pytest.mark.parametrize('options', [NO_INDEX, NO_SUMMARY], ids=['statistics', 'no summary'])
@pytest.mark.parametrize('chunked', [True, False])
def test_a_wrong_opcode_costs_its_record_only_and_is_told(tmp_path, opcode, options, chunked):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1, use_chunking=chunked, **options)
    place = records(path.read_bytes(), Opcode.CHUNK if chunked else Opcode.MESSAGE)[4]
    change(path, place, opcode)
    numbers, problems = found(path)
    assert numbers == [1, 2, 3, 4, 6, 7, 8, 9]
    assert f'x.mcap is damaged at byte {place} (' in problems[0]
    if options is NO_INDEX:
        assert '9 messages are announced, 8 were found' in problems[1]


@pytest.mark.parametrize('options', [NO_INDEX, NO_SUMMARY], ids=['statistics', 'no summary'])
def test_a_record_of_a_private_kind_is_told(tmp_path, options):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, use_chunking=False, **options)
    change(path, records(path.read_bytes(), Opcode.MESSAGE)[4], 0x80)
    numbers, problems = found(path)
    assert numbers == [1, 2, 3, 4, 6, 7, 8, 9]
    assert [p.partition(';')[0] for p in problems] == (
        ['/image: 9 messages are announced, 8 were found'] if options is NO_INDEX else [])
    with open_bag(path) as reader:
        assert 'private kinds (1)' in reader.notes[0]


@pytest.mark.parametrize('byte', [0, 2, 5, 7])
def test_a_wrong_length_outside_of_chunks_costs_its_message_only(tmp_path, byte):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, use_chunking=False)
    place = records(path.read_bytes(), Opcode.MESSAGE)[4] + 1 + byte
    change(path, place, path.read_bytes()[place] ^ 0x10)
    data = path.read_bytes()
    with open_bag(path) as reader:
        (connection,) = reader.connections
        times = [record.time_ns // 10**9 for record in reader.records()]
        problems = reader.problems(connection, len(times))
    assert {1, 2, 3, 4, 6, 7, 8, 9} <= set(times)
    assert 'x.mcap is damaged at byte ' in problems[0] and 'not closed' not in problems[0]
    assert path.read_bytes() == data


def test_damage_that_only_the_checksum_of_the_data_shows_is_told(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, use_chunking=False, enable_data_crcs=True)
    assert found(path) == (NUMBERS, [])
    data = path.read_bytes()
    change(path, records(data, Opcode.MESSAGE)[4] + 1000, data[1] ^ 1)
    numbers, (problem,) = found(path)
    assert numbers == [1, 2, 3, 4, 6, 7, 8, 9] and 'checksum of its data differs' in problem


@pytest.mark.parametrize('summary', [NO_INDEX, NO_SUMMARY], ids=['summary', 'no summary'])
def test_the_head_of_a_chunk_is_checked(tmp_path, summary):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, chunk_size=1, **summary)
    data = bytearray(path.read_bytes())
    place = records(data, Opcode.CHUNK)[4]
    data[place + 25:place + 125] = bytes(100)  # size, checksum, compression, length of its data
    path.write_bytes(data)
    numbers, problems = found(path)
    assert numbers == [1, 2, 3, 4, 6, 7, 8, 9]
    assert f'damaged at byte {place} (its lengths do not fit' in problems[0]


def test_a_channel_that_the_summary_contradicts_is_read_and_told(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS, channels=2, use_chunking=False)
    change(path, path.read_bytes().index(b'/image') + 2, ord('x'))
    numbers, (problem,) = found(path, '/image')
    assert numbers == NUMBERS and 'is there twice, and different' in problem


@pytest.mark.parametrize('options', [{}, {'use_chunking': False}])
def test_what_follows_damage_is_found_wherever_a_search_pauses(tmp_path, monkeypatch, options):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS[:4], chunk_size=1, **NO_SUMMARY, **options)
    kind = Opcode.MESSAGE if options else Opcode.CHUNK
    change(path, records(path.read_bytes(), kind)[1], 0)
    expected, _ = found(path)
    assert expected == [1, 3, 4]
    for window in range(60, 120, 3):
        monkeypatch.setattr(mcap_layout, '_WINDOW', window)
        assert found(path)[0] == expected, window


def test_a_chunk_is_found_right_behind_what_looks_like_the_head_of_one(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', NUMBERS[:4], chunk_size=1, **NO_SUMMARY)
    whole = path.read_bytes()
    _, second, third, _ = records(whole, Opcode.CHUNK)
    for distance in range(1, 40):
        data = bytearray(whole)
        data[second], data[third - distance] = 0, Opcode.CHUNK
        path.write_bytes(data)
        assert found(path)[0] == [1, 3, 4], distance
