# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing hold a few chunks at a time, however long a bag is."""

import tracemalloc

import pytest
from bag_files import NO_SUMMARY, write_rosbag2
from mcap.writer import CompressionType, Writer
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_typestore

from ubcn_ros.bags import McapBagWriter, open_bag

TYPE = 'std_msgs/msg/UInt8MultiArray'
SIZE = 60_000
DATA = b'\0\1\0\0' + bytes(4) * 2 + SIZE.to_bytes(4, 'little') + bytes(SIZE)


def write_mcap(path, count, **options):
    with path.open('wb') as file:
        writer = Writer(file, 300_000, CompressionType.NONE, **options)
        writer.start('ros2', 'test')
        channel = writer.register_channel('/x', 'cdr', writer.register_schema(TYPE, '', b''))
        for number in range(count):
            writer.add_message(channel, number, DATA, number)
        writer.finish()
    return path


def write_split(path, count):
    with McapBagWriter(path, split_ns=20) as writer:
        with open_bag(write_mcap(path.with_suffix('.mcap'), count)) as reader:
            for record in reader.records():
                writer.write(record)
    return path


def write_sqlite(path, count):
    return write_rosbag2(path, [('/x', TYPE, number, DATA) for number in range(count)])


def write_ros1(path, count):
    with Ros1Writer(path.with_suffix('.bag')) as writer:
        connection = writer.add_connection('/x', TYPE, typestore=get_typestore(
            Stores.ROS1_NOETIC))
        for number in range(count):
            writer.write(connection, number, DATA[4:])
    return path.with_suffix('.bag')


KINDS = {
    'mcap': write_mcap, 'split': write_split, 'sqlite3': write_sqlite, 'ros1': write_ros1,
    'no summary': lambda path, count: write_mcap(path, count, **NO_SUMMARY),
    'no chunks': lambda path, count: write_mcap(path, count, use_chunking=False, **NO_SUMMARY)}


def peak(source, target):
    """The most memory that copying takes, bytes."""
    tracemalloc.start()
    try:
        with open_bag(source) as reader, McapBagWriter(target) as writer:
            for record in reader.records():
                writer.write(record)
        return writer.messages, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('kind', KINDS)
def test_memory_does_not_grow_with_a_bag(tmp_path, kind):
    counts, peaks = zip(*(peak(KINDS[kind](tmp_path / f'{count}', count), tmp_path / f'to_{count}')
                          for count in (100, 101, 400)), strict=True)
    assert counts == (100, 101, 400)
    assert peaks[2] < peaks[1] + 1_000_000 and peaks[2] < 30_000_000
