# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parse the records of an mcap file that make up its messages, also of a chunk that is cut."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk
from mcap.records import Schema as SchemaRecord
from mcap.stream_reader import get_chunk_data_stream

from ubcn_ros.bags.storage.mcap_layout import HEAD, PRIVATE, SHORTEST
from ubcn_ros.bags.storage.records import Channel, Record

IN_CHUNK = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE)
_MESSAGE = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time


class Message(NamedTuple):
    """A message of a channel's number; times are those of recording and publishing, ns."""

    channel: int
    sequence: int
    time: int
    published: int
    data: memoryview

    def record(self, channels: Mapping[int, Channel]) -> Record:
        """Return it with its channel."""
        return Record(channels[self.channel], self.time, self.published, self.sequence,
                      bytes(self.data))


def parse(opcode: int, body: memoryview) -> SchemaRecord | ChannelRecord | Message:
    """Parse a record that is IN_CHUNK."""
    if opcode == Opcode.MESSAGE:
        channel, sequence, time, published = _MESSAGE.unpack_from(body)
        return Message(channel, sequence, time, published, body[_MESSAGE.size:])
    kind = SchemaRecord if opcode == Opcode.SCHEMA else ChannelRecord
    return kind.read(ReadDataStream(BytesIO(body)))


def parse_chunk(body: bytes, length: int) -> Iterator[SchemaRecord | ChannelRecord | Message]:
    """
    Yield the records of a chunk.

    :param length: what its head says of the body, which is shorter where the file is cut off.
    :raises Exception: of many kinds, after all that is whole.
    """
    chunk = Chunk.read(ReadDataStream(BytesIO(body)))
    if len(body) == length and (len(chunk.data) + len(chunk.compression.encode())
                                + SHORTEST[Opcode.CHUNK] != length):
        raise ValueError('its lengths do not fit each other')
    stream, size = get_chunk_data_stream(chunk, validate_crc=len(body) == length)
    data, at = memoryview(stream.read(size)), 0
    while at < size:
        opcode, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        if at + length > size or not (opcode in IN_CHUNK or opcode >= PRIVATE):
            raise ValueError('a record in it is not whole')
        if opcode in IN_CHUNK:
            yield parse(opcode, data[at:at + length])
        at += length


def channel_of(channel: ChannelRecord, schema: SchemaRecord | None) -> Channel:
    """Make a channel of its record and that of its schema."""
    name, encoding, definition = (schema.name, schema.encoding, schema.data) if schema else (
        '', '', b'')
    return Channel(channel.topic, name.replace('/', '/msg/') if name.count('/') == 1 else name,
                   channel.message_encoding, name, encoding, definition,
                   tuple(sorted(channel.metadata.items())))
