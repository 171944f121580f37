# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that a bag stores is read as it is stored, of any storage, and by ranges of time."""

import sqlite3

import pytest
import zstandard
from bag_files import NO_SUMMARY, best_effort, edit_metadata, write_mcap, write_rosbag2
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.rosbag2 import CompressionMode

from ubcn_ros.bags import open_bag
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.records import Channel, Record, SortedRecords, merge

QOS = (('offered_qos_profiles', '- history: 3\n  depth: 0\n'), ('topic_type_hash', 'RIHS01_0'))
CHANNELS = [
    Channel('/tf', 'tf2_msgs/msg/TFMessage', 'cdr', 'tf2_msgs/msg/TFMessage', 'ros2msg', b'# tf',
            QOS),
    Channel('/tf', 'tf2_msgs/msg/TFMessage', 'cdr', 'tf2_msgs/msg/TFMessage', 'ros2msg', b'# tf'),
    Channel('/own', 'own/msg/Own', 'cdr', 'own/msg/Own', 'ros2idl', b'module {', (('a', 'b'),)),
    Channel('/log', 'Log', 'json', 'Log', 'jsonschema', b'{}'),
    Channel('/bytes', '', 'raw')]
RECORDS = [Record(CHANNELS[n % 5], time, time + 7 * n - 20, n, zstandard.compress(b'x') + bytes(n))
           if n % 5 > 2 else Record(CHANNELS[n % 5], time, time - n, 2**32 - 1 - n,
                                    b'\0\1\0\0' + bytes([n]) * 200)
           for n, time in enumerate([50, 40, 60, 60, 40, 70, 90, 90, 80, 100, 60, 2**63, 120])]
IN_ORDER = sorted(RECORDS, key=lambda record: record.time_ns)


def write(path, records=RECORDS, channels=CHANNELS, chunk_size=300, **options):
    """Write records to an mcap file, with two attachments and two metadata records."""
    with path.open('wb') as file:
        writer = Writer(file, chunk_size, **options)
        writer.start('ros2', 'test')
        writer.add_attachment(1, 2, 'calibration', 'text/yaml', b'fx: 1')
        numbers = {c: writer.register_channel(
            c.topic, c.encoding, c.schema_name and writer.register_schema(
                c.schema_name, c.schema_encoding, c.definition) or 0, dict(c.metadata))
            for c in channels}
        for place, record in enumerate(records):
            if place == 6:
                writer.add_metadata('vehicle', {'name': 'ä', 'empty': ''})
            writer.add_message(numbers[record.channel], record.time_ns, record.data,
                               record.publish_ns, record.sequence)
        writer.add_attachment(3, 4, '', '', b'')
        writer.add_metadata('vehicle', {})
        writer.finish()
    return path


@pytest.mark.parametrize('options', [
    {}, {'index_types': IndexType.CHUNK}, {'index_types': IndexType.NONE}, NO_SUMMARY,
    {'use_chunking': False}, {**NO_SUMMARY, 'use_chunking': False}, {'chunk_size': 1},
    {'compression': CompressionType.NONE}, {'compression': CompressionType.LZ4},
    {'enable_crcs': False, 'chunk_size': 1 << 20}], ids=str)
def test_all_of_an_mcap_file_is_read_as_it_is_stored(tmp_path, options):
    with open_bag(write(tmp_path / 'x.mcap', **options)) as reader:
        assert reader.channels == CHANNELS
        assert list(reader.records()) == IN_ORDER
        assert list(reader.records(CHANNELS[1:3])) == [
            record for record in IN_ORDER if record.channel in CHANNELS[1:3]]
        assert (reader.start_ns, reader.end_ns) == (40, 2**63)
        assert [(a.create_time, a.log_time, a.name, a.media_type, a.data)
                for a in reader.attachments()] == [
            (1, 2, 'calibration', 'text/yaml', b'fx: 1'), (3, 4, '', '', b'')]
        assert list(reader.metadata_records()) == [('vehicle', {'name': 'ä', 'empty': ''}),
                                                   ('vehicle', {})]
        assert reader.damage == [] and reader.notes == []


def test_a_channel_may_be_without_records(tmp_path):
    with open_bag(write(tmp_path / 'x.mcap', records=[])) as reader:
        assert (reader.channels, reader.start_ns, reader.end_ns) == (CHANNELS, None, None)
        assert list(reader.records()) == []


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(30, 130), max_size=4), chunk_size=st.sampled_from([1, 300, 9999]),
       chunked=st.booleans())
def test_ranges_beside_each_other_have_every_record_once(tmp_path_factory, cuts, chunk_size,
                                                         chunked):
    path = write(tmp_path_factory.getbasetemp() / 'ranges.mcap', chunk_size=chunk_size,
                 use_chunking=chunked)
    ends = [None, *sorted(cuts), None]
    with open_bag(path) as reader:
        found = [list(reader.records(None, start, end))
                 for start, end in zip(ends, ends[1:], strict=False)]
    assert sum(found, []) == IN_ORDER
    for records, start, end in zip(found, ends, ends[1:], strict=False):
        assert all((start is None or start <= record.time_ns)
                   and (end is None or record.time_ns < end) for record in records)


def test_a_range_reads_its_blocks_only(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', range(1, 10), chunk_size=1)
    with path.open('rb') as file:
        chunks = make_reader(file).get_summary().chunk_indexes
    data = bytearray(path.read_bytes())
    for chunk in chunks[3:]:
        at = chunk.chunk_start_offset + 100
        data[at:at + 500] = bytes(500)
    path.write_bytes(data)
    with open_bag(path) as reader:
        records = reader.records(reader.channels, None, 4 * 10**9)
        assert [record.time_ns // 10**9 for record in records] == [1, 2, 3]
        assert reader.damage == []
        assert list(reader.records(None, 9 * 10**9)) == [] and len(reader.damage) == 1


def test_a_damaged_attachment_is_told_and_the_others_are_read(tmp_path):
    path = write(tmp_path / 'x.mcap')
    path.write_bytes(path.read_bytes().replace(b'fx: 1', b'fx: 2'))
    with open_bag(path) as reader:
        assert [attachment.name for attachment in reader.attachments()] == ['']
        assert 'the checksum of an attachment differs' in reader.damage[0]


@pytest.mark.parametrize('place, value', [(-4, 0xff), (-1, 0x7f), (0, 0xff)],
                         ids=['length', 'longest', 'text'])
def test_a_damaged_attachment_without_checksum_is_told_too(tmp_path, place, value):
    data = bytearray(write(tmp_path / 'x.mcap').read_bytes())
    name = data.index(b'calibration')
    data[name + place] = value
    end = data.index(b'fx: 1') + len(b'fx: 1')
    data[end:end + 4] = bytes(4)  # no checksum
    (tmp_path / 'x.mcap').write_bytes(data)
    with open_bag(tmp_path / 'x.mcap') as reader:
        assert [attachment.name for attachment in reader.attachments()] == ['']
        assert len(list(reader.records())) == len(RECORDS)
        assert 'is damaged at byte' in reader.damage[0]


@pytest.mark.parametrize('offset', [2**62, 2**63, 2**64 - 1])
def test_an_index_of_attachments_that_leads_nowhere_is_told(tmp_path, offset):
    path = write(tmp_path / 'x.mcap', enable_crcs=False)
    data = bytearray(path.read_bytes())
    with path.open('rb') as file:
        first, _ = make_reader(file).get_summary().attachment_indexes
    place = data.rindex(first.offset.to_bytes(8, 'little') + first.length.to_bytes(8, 'little'))
    data[place:place + 8] = offset.to_bytes(8, 'little')
    path.write_bytes(data)
    with open_bag(path) as reader:
        assert [attachment.name for attachment in reader.attachments()] == ['']
        assert f'damaged at byte {offset} ' in reader.damage[0]


def strings(times=(30, 10, 20)):
    """Return messages for `write_rosbag2` that say their time."""
    return [('/s', 'std_msgs/msg/String', time, b'\0\1\0\0%d' % time) for time in times]


@pytest.mark.parametrize('mode', [CompressionMode.NONE, CompressionMode.FILE,
                                  CompressionMode.MESSAGE])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_bags_of_rosbags_have_definition_and_qos(tmp_path, storage, mode):
    with open_bag(write_rosbag2(tmp_path / 'bag', strings(), storage, mode,
                                [best_effort()])) as reader:
        (channel,) = reader.channels
        assert channel[:5] == ('/s', 'std_msgs/msg/String', 'cdr', 'std_msgs/msg/String',
                               'ros2msg')
        assert channel.definition == TYPES.generate_msgdef(channel.msgtype,
                                                           ros_version=2)[0].encode()
        metadata = dict(channel.metadata)
        assert 'reliability: best_effort' in metadata['offered_qos_profiles']
        assert metadata.get('topic_type_hash', TYPES.hash_rihs01(channel.msgtype)) \
            == TYPES.hash_rihs01(channel.msgtype)
        assert list(reader.records()) == [Record(channel, time, time, 0, b'\0\1\0\0%d' % time)
                                          for time in (10, 20, 30)]
        assert [r.time_ns for r in reader.records(None, 20, 30)] == [20]
        assert [r.time_ns for r in reader.records(None, -2**70, 2**70)] == [10, 20, 30]
        assert (reader.start_ns, reader.end_ns) == (10, 30)
        assert list(reader.attachments()) == []


def test_an_older_sqlite3_file_has_no_definition(tmp_path):
    path = write_rosbag2(tmp_path / 'bag', strings()) / 'bag.db3'
    database = sqlite3.connect(path)
    database.executescript('DROP TABLE message_definitions; DROP TABLE schema; '
                           'ALTER TABLE topics DROP COLUMN type_description_hash; '
                           'ALTER TABLE topics DROP COLUMN offered_qos_profiles')
    database.close()
    with open_bag(path.parent) as reader:
        assert reader.channels == [Channel('/s', 'std_msgs/msg/String', 'cdr')]
        assert len(list(reader.records())) == 3


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_files_of_a_split_bag_are_one(tmp_path, storage):
    suffix = {'sqlite3': '.db3', 'mcap': '.mcap'}[storage]
    bag = write_rosbag2(tmp_path / 'bag', strings((10, 50, 20)), storage)
    other = write_rosbag2(tmp_path / 'other', strings((20, 60, 5)), storage)
    (other / f'other{suffix}').rename(bag / f'b{suffix}')
    edit_metadata(bag, relative_file_paths=[f'bag{suffix}', f'b{suffix}'])
    with open_bag(bag) as reader:
        assert len(reader.channels) == 1
        assert [record.time_ns for record in reader.records()] == [5, 10, 20, 20, 50, 60]
        assert [record.time_ns for record in reader.records(None, 20, 51)] == [20, 20, 50]
        assert (reader.start_ns, reader.end_ns) == (5, 60)


def test_sources_are_begun_when_their_time_has_come():
    begun = []

    def source(name, *times):
        begun.append(name)
        yield from (Record(CHANNELS[0], time, time, 0, name) for time in times)

    merged = merge([SortedRecords(1, 1, source('a', 1, 5, 6)),
                    SortedRecords(5, 0, source('b', 5, 7)),
                    SortedRecords(6, 2, source('c', 6, 8))])
    assert next(merged)[1::3] == (1, 'a') and begun == ['a']
    assert [(r.time_ns, r.data) for r in merged] == [
        (5, 'b'), (5, 'a'), (6, 'a'), (6, 'c'), (7, 'b'), (8, 'c')]
