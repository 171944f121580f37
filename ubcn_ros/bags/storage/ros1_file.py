# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read a ROS 1 bag as if it were one of ROS 2.

The library `rosbags` reads and converts; what it cannot read is told, with what helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rosbags.convert.converter import (
    STATIC_MSGTYPE_RENAMES,
    is_same_wireformat,
    migrate_bytes,
)
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.storage.channels import HASH, QOS, reliable_qos
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.bags.storage.records import Channel, Record, Storage

_HEADER = 'std_msgs/msg/Header'
_REMEDIES = {'not indexed': 'run `rosbag reindex {name}` of ROS 1, and give what it makes',
             'damaged': 'run `rosbag reindex {name}` of ROS 1, and give what it makes',
             'Compression': 'run `rosbag decompress {name}` of ROS 1, and give what it makes',
             'Bag version': 'run `rosbag fix {name} NEW.bag` of ROS 1, and give NEW.bag',
             'encryption': 'run `rosbag decrypt {name}` of ROS 1, and give what it makes'}


class Ros1File(Storage):
    """
    The channels of a ROS 1 bag, and its records as CDR and of types of ROS 2; a context manager.

    The sequence number of a message is that of its header, which ROS 2 has not.

    :param path: the file.
    :param name: for texts.
    :raises BagError: it cannot be read.
    """

    complete = True
    """Whether the file was closed by its writer: it has an index only then."""

    def __init__(self, path: Path, name: str):
        self._name, self._reader = name, Reader(path)
        try:
            self._reader.open()
        except OSError:
            raise
        except Exception as error:  # damage ends in errors of many kinds
            remedy = next((text for part, text in _REMEDIES.items() if part in str(error)),
                          'give another copy of the file, if there is one')
            raise BagError(f'{name} cannot be read as a ROS 1 bag: {reason(error).rstrip(".")}; '
                           + remedy.format(name=name)) from error
        self.notes = [f'{name} is a ROS 1 bag: its messages are converted to CDR and to the types '
                      'of ROS 2']
        self._damage: list[str] = []
        self._malformed: dict[str, None] = {}  # topics, in order
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._converters: dict[tuple[str, str], Callable[[bytes], memoryview]] = {}
        self.channels: dict[int, Channel] = {}
        self.counts: dict[int, int] = {}
        """Messages by channel."""
        for connection in self._reader.connections:
            self._add(connection)

    def __enter__(self) -> Ros1File:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def problems(self) -> list[str]:
        """What could not be read, and why."""
        # the same from wherever the bag is read: a count would grow, and reasons differ
        return self._damage + [
            f'{self._name}: messages of {topic} could not be converted, as their bytes do not fit '
            'their type; give another copy of the file, if there is one'
            for topic in [*self._malformed]]  # a thread may add some

    @property
    def span(self) -> tuple[int, int] | None:
        """Times of the first and last message, ns; None where there is none."""
        if not any(self.counts.values()):
            return None
        return self._reader.start_time, self._reader.end_time - 1

    def spans(self) -> list[tuple[int, int]]:
        """Return the time of each message, ns, as first and last."""
        return [(entry.time, entry.time) for entries in self._reader.indexes.values()
                for entry in entries]

    def records(self, channels: set[int], start: float, end: float) -> Iterator[Record]:
        """Yield the records of these channels with start <= time < end (ns), by time."""
        chosen = [c for c in self._reader.connections if c.id in channels]
        try:
            for connection, time, data in self._reader.messages(chosen, start, end):
                try:
                    converted = bytes(self._converters[_definition(connection)](data))
                except Exception:  # wrong bytes end in errors of many kinds
                    self._malformed[connection.topic] = None
                    continue
                yield Record(self.channels[connection.id], time, time,
                             self._sequence(connection, data), converted)
        except Exception as error:  # the library goes no further
            check_in_reach(self._reader.bio.fileno(), self._name, error)
            line = (f'{self._name} is damaged ({reason(error)}): what is before was read; take '
                    'another copy of the file, if there is one')
            if line not in self._damage:
                self._damage.append(line)

    def _add(self, connection: Connection) -> None:
        msgtype = STATIC_MSGTYPE_RENAMES.get(connection.msgtype, connection.msgtype)
        try:
            self._converters[_definition(connection)] = self._converter(connection, msgtype)
            definition, _ = self._types.generate_msgdef(msgtype, ros_version=2)
        except Exception as error:  # a definition of any content
            self._damage.append(
                f'{self._name}: the {connection.msgcount} messages of {connection.topic} were '
                f'left out, as the definition of {connection.msgtype} cannot be read '
                f'({reason(error)})')
            return
        metadata = {HASH: self._types.hash_rihs01(msgtype)}
        if connection.ext.callerid:
            metadata['callerid'] = connection.ext.callerid
        if connection.ext.latching:
            metadata[QOS] = reliable_qos(1, latched=True)
        self.channels[connection.id] = Channel(
            connection.topic, msgtype, 'cdr', msgtype, 'ros2msg', definition.encode(),
            tuple(sorted(metadata.items())))
        self.counts[connection.id] = connection.msgcount

    def _converter(self, connection: Connection, msgtype: str) -> Callable[[bytes], memoryview]:
        """Make what converts messages; a type that is not of the standard keeps its fields."""
        source = get_typestore(Stores.EMPTY)
        source.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
        if msgtype not in self._types.fielddefs:
            text, _ = source.generate_msgdef(connection.msgtype, ros_version=2)
            self._types.register({name: fields for name, fields
                                  in get_types_from_msg(text, msgtype).items()
                                  if name not in self._types.fielddefs})
        if is_same_wireformat(source, self._types, connection.msgtype, msgtype):
            return partial(self._types.ros1_to_cdr, typename=msgtype)
        # fields that ROS 2 alone has are at their defaults
        return partial(migrate_bytes, source, self._types, connection.msgtype, msgtype, {},
                       src_is2=False, dst_is2=True)

    def _sequence(self, connection: Connection, data: bytes) -> int:
        _, fields = self._types.fielddefs[self.channels[connection.id].msgtype]
        begins_with_header = fields and fields[0][1][1] == _HEADER
        return int.from_bytes(data[:4], 'little') if begins_with_header else 0


def _definition(connection: Connection) -> tuple[str, str]:
    return connection.msgtype, connection.msgdef.data
