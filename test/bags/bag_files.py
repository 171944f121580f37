# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags as other recorders write them, for tests."""

import resource
from collections.abc import Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from drives import write_bag
from mcap.writer import CompressionType, IndexType, Writer
from random_images import noise
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter

from ubcn_ros.bags import IMAGE, image_connection, make_header, make_image, open_bag
from ubcn_ros.bags.messages import TYPES, decode_record
from ubcn_ros.bags.storage.channels import QOS
from ubcn_ros.bags.storage.records import Channel, Record

SECOND = 1_000_000_000


@contextmanager
def file_limit(size):
    """Limit the size of files for a moment: a full disk. pytest's own output needs room, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def serialized(number=0, **size):
    """Serialize picture `number`, stamped with that second."""
    message = make_image(make_header(number * SECOND, 'c'), noise(number, **size))
    return bytes(TYPES.serialize_cdr(message, IMAGE))


def write_mcap(path, numbers, topic='/image', channels=1, definition=('ros2msg', b''), more=(),
               chunk_size=20_000, **options):
    """
    Write pictures to an mcap file; ``numbers`` are their seconds, too, and alternate channels.

    ``more``: topic, type, encoding of the definition, definition, encoding, data of others.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {'compression': CompressionType.NONE, **options}
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=chunk_size, **options)
        writer.start('ros2', 'test')
        schema = writer.register_schema(IMAGE, *definition)
        ids = [writer.register_channel(topic, 'cdr', schema, {'publisher': str(n)})
               for n in range(channels)]
        for name, msgtype, kind, text, encoding, data in more:
            other = writer.register_channel(name, encoding,
                                            writer.register_schema(msgtype, kind, text))
            writer.add_message(other, SECOND, data, 0)
        for place, number in enumerate(numbers):
            writer.add_message(ids[place % channels], number * SECOND, serialized(number), 0)
        writer.finish()
    return path


class Topic(NamedTuple):
    """A topic to write: `messages` are seconds and data, `qos` as in the metadata of a bag."""

    name: str
    msgtype: str
    messages: Sequence[tuple[float, bytes]]
    qos: str = ''
    encoding: str = 'cdr'


def write_topics(path, topics):
    """Write an mcap file of these topics, in the order of time."""
    channels = [Channel(topic.name, topic.msgtype, topic.encoding, topic.msgtype, 'ros2msg',
                        metadata=((QOS, topic.qos),) if topic.qos else ()) for topic in topics]
    records = [Record(channel, round(time * SECOND), round(time * SECOND), 0, data)
               for channel, topic in zip(channels, topics, strict=True)
               for time, data in topic.messages]
    return write_bag(path, sorted(records, key=lambda record: record.time_ns), channels=channels)


def write_rosbag2(path, messages, storage='sqlite3', compression=CompressionMode.NONE, qos=((),)):
    """
    Write a folder with the library rosbags; ``messages`` are topic, type, time in ns and data.

    A topic has a connection for each of ``qos``, which take its messages in turn.
    """
    writer = RosbagsWriter(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, msgtype, time_ns, data in messages:
            if topic not in connections:
                connections[topic] = cycle([
                    writer.add_connection(topic, msgtype, typestore=TYPES,
                                          offered_qos_profiles=profiles) for profiles in qos])
            writer.write(next(connections[topic]), time_ns, data)
    return path


def pictures(numbers, **size):
    """Pictures on /image, each in its second, as messages for `write_rosbag2`."""
    return [('/image', IMAGE, number * SECOND, serialized(number, **size)) for number in numbers]


def best_effort(seconds=1):
    """Offered QoS of a camera, with a deadline of so many seconds."""
    time = QosTime(seconds, 0)
    return [Qos(QosHistory.KEEP_LAST, 5, QosReliability.BEST_EFFORT, QosDurability.VOLATILE, time,
                time, QosLiveliness.AUTOMATIC, time, False)]


NO_SUMMARY = {'index_types': IndexType.NONE, 'use_statistics': False, 'repeat_channels': False,
              'repeat_schemas': False, 'use_summary_offsets': False}


def edit_metadata(bag, **changes):
    """Change metadata.yaml of a bag; `count` is that of the first topic."""
    path = Path(bag) / 'metadata.yaml'
    document = yaml.safe_load(path.read_text())
    information = document['rosbag2_bagfile_information']
    if 'count' in changes:
        information['topics_with_message_count'][0]['message_count'] = changes.pop('count')
    information.update(changes)
    path.write_text(yaml.safe_dump(document))


def found(bag, topic=None):
    """Read a bag: the seconds of the whole pictures in their order, and what is told."""
    with open_bag(bag) as reader:
        connection = image_connection(reader, topic)
        numbers, count = [], 0
        for record in reader.records(reader.channels_of(connection)):
            count += 1
            second = record.time_ns // SECOND
            if np.array_equal(decode_record(record)[1], noise(second)):
                numbers.append(second)
        return numbers, reader.problems(connection, count)
