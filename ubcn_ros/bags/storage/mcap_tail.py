# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find up to where an interrupted mcap file of our own is whole, and close one that went on."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap import records
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.opcode import Opcode

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.storage.mcap_layout import HEAD, find_records
from ubcn_ros.bags.storage.mcap_records import Message, channel_of, parse_chunk
from ubcn_ros.bags.storage.mcap_summary import MAGIC
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.bags.storage.records import Channel, Record

LIBRARY = 'ubcn_ros'
"""What the header of our files names as their writer."""
Schema = tuple[str, str, bytes]
_CHUNK = struct.Struct('<QQQI')  # first and last time, size and checksum of what is in it


class Tail(NamedTuple):
    """
    Where an mcap file can go on.

    Up to `offset` it is whole, with `messages` messages, the first of the time `first_ns`, None
    where there is none; `pending` are those of the next chunk that are to be kept, too. `schemas`
    and `channels` are in the order of their numbers.
    """

    offset: int
    messages: int
    first_ns: int | None
    pending: list[Record]
    schemas: list[Schema]
    channels: list[Channel]


def find_tail(path: Path, keep: int) -> Tail | None:
    """
    Find where a file that `McapOutput` made can go on.

    Of a chunk that is not whole nothing is kept. What stands behind the last message that is
    kept is dropped, attachments and metadata records, too.

    :param keep: how many messages to keep at most.
    :return: None where not even the header is whole.
    :raises BagError: another program made it.
    """
    known = _Known()
    offset, messages, first, place = 0, 0, None, 0  # up to the last chunk whose index is whole
    chunk: list[Message] = []
    missing: set[int] = set()  # channels of the chunk whose index is still to come
    size = path.stat().st_size
    with _reading(path) as file:
        for opcode, begin, end in find_records(file, size, 0) if size else ():
            if opcode == Opcode.HEADER:
                offset = end
                header = records.Header.read(ReadDataStream(BytesIO(_body(file, begin, end))))
                if header.library != LIBRARY:
                    raise BagError(f'{path} cannot be resumed: {header.library!r} made it; '
                                   'give a bag that ubcn made, or a path that does not exist yet')
            elif opcode == Opcode.CHUNK:
                if chunk or messages == keep:
                    break
                chunk, place = known.take(_body(file, begin, end)), begin
                missing = {message.channel for message in chunk}
                if not chunk or messages + len(chunk) > keep:
                    break
            elif opcode == Opcode.MESSAGE_INDEX:
                missing.discard(int.from_bytes(_body(file, begin, end)[:2], 'little'))
                if chunk and not missing:
                    first = chunk[0].time if first is None else first
                    offset, messages, chunk = end, messages + len(chunk), []
            elif opcode not in (Opcode.ATTACHMENT, Opcode.METADATA):
                break
    if not offset:
        return None
    channels = known.channels()
    pending = [message.record(channels) for message in chunk[:keep - messages]]
    return Tail(place if pending else offset, messages, first, pending,
                [(schema.name, schema.encoding, schema.data)
                 for _, schema in sorted(known.schemas.items())],
                [channel for _, channel in sorted(channels.items())])


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is to be continued; a place of it that cannot be read is not damage."""
    try:
        with path.open('rb') as file:
            yield file
    except OSError as error:
        check_in_reach(path, str(path), error)
        raise BagError(f'{path} cannot be continued: it cannot be read ({reason(error)}); copy '
                       'what is there to another disk') from error


class _Known:
    """Schemas and channels by number, as chunks name them."""

    def __init__(self) -> None:
        self.schemas: dict[int, records.Schema] = {}
        self._channels: dict[int, records.Channel] = {}

    def take(self, body: bytes) -> list[Message]:
        """Take what a chunk names, and return its messages; none where it is not whole."""
        try:
            content = list(parse_chunk(body, len(body)))
        except Exception:  # damage ends in errors of many kinds
            return []
        for record in content:
            if isinstance(record, records.Schema):
                self.schemas[record.id] = record
            elif isinstance(record, records.Channel):
                self._channels[record.id] = record
        return [record for record in content if isinstance(record, Message)]

    def channels(self) -> dict[int, Channel]:
        return {number: channel_of(channel, self.schemas.get(channel.schema_id))
                for number, channel in self._channels.items()}


def write_summary(file: BinaryIO, schemas: Mapping[Schema, int],
                  channels: Iterable[tuple[Channel, int, int]]) -> None:
    """
    End an mcap file with all that is known of its data.

    :param file: open for reading and writing, without an end.
    :param channels: with their numbers and those of their schemas.
    """
    statistics, *indexes = _find_indexes(file)
    statistics.schema_count = len(schemas)
    groups: list[records.McapRecord] = [
        records.Schema(number, definition, encoding, name)
        for (name, encoding, definition), number in schemas.items()]
    for channel, number, schema in channels:
        statistics.channel_count += 1
        groups.append(records.Channel(number, channel.topic, channel.encoding,
                                      dict(channel.metadata), schema))
    groups += [statistics, *indexes]
    data, summary = RecordBuilder(), RecordBuilder()
    records.DataEnd(0).write(data)
    start = file.seek(0, 2) + file.write(data.end())
    offsets = []
    for kind, group in groupby(groups, type):
        begin = summary.count
        for record in group:
            record.write(summary)
        offsets.append(records.SummaryOffset(_OPCODES[kind], start + begin,
                                             summary.count - begin))
    begin = start + summary.count
    for offset in offsets:
        offset.write(summary)
    block = summary.end()
    head = HEAD.pack(Opcode.FOOTER, 20) + struct.pack('<QQ', start, begin)
    records.Footer(start, begin, zlib.crc32(block + head)).write(data)
    file.write(block + data.end() + MAGIC)


_OPCODES = {records.Schema: Opcode.SCHEMA, records.Channel: Opcode.CHANNEL,
            records.Statistics: Opcode.STATISTICS, records.ChunkIndex: Opcode.CHUNK_INDEX,
            records.AttachmentIndex: Opcode.ATTACHMENT_INDEX,
            records.MetadataIndex: Opcode.METADATA_INDEX}


def _find_indexes(file: BinaryIO) -> list[records.McapRecord]:
    """Make the statistics and indexes of a summary, going through the heads of the records."""
    chunks: list[records.ChunkIndex] = []
    attachments: list[records.AttachmentIndex] = []
    metadata: list[records.MetadataIndex] = []
    counts: Counter[int] = Counter()
    size = file.seek(0, 2)
    for opcode, offset, end in find_records(file, size, size):
        file.seek(offset + HEAD.size)
        if opcode == Opcode.CHUNK:
            chunks.append(_chunk_index(file, offset, end))
        elif opcode == Opcode.MESSAGE_INDEX:
            channel, length = struct.unpack('<HI', file.read(6))
            counts[channel] += length // 16
            chunks[-1].message_index_offsets[channel] = offset
            chunks[-1].message_index_length += end - offset
        elif opcode == Opcode.ATTACHMENT:
            attachments.append(_attachment_index(file, offset, end))
        elif opcode == Opcode.METADATA:
            name = ReadDataStream(file).read_prefixed_string()
            metadata.append(records.MetadataIndex(offset, end - offset, name))
    statistics = records.Statistics(
        len(attachments), 0, counts, len(chunks), counts.total(),
        max((chunk.message_end_time for chunk in chunks), default=0),
        min((chunk.message_start_time for chunk in chunks), default=0), len(metadata), 0)
    return [statistics, *chunks, *attachments, *metadata]


def _chunk_index(file: BinaryIO, offset: int, end: int) -> records.ChunkIndex:
    first, last, size, _ = _CHUNK.unpack(file.read(_CHUNK.size))
    stream = ReadDataStream(file)
    return records.ChunkIndex(
        chunk_length=end - offset, chunk_start_offset=offset,
        compression=stream.read_prefixed_string(), compressed_size=stream.read8(),
        message_end_time=last, message_index_length=0, message_index_offsets={},
        message_start_time=first, uncompressed_size=size)


def _attachment_index(file: BinaryIO, offset: int, end: int) -> records.AttachmentIndex:
    stream = ReadDataStream(file)
    return records.AttachmentIndex(
        offset, end - offset, log_time=stream.read8(), create_time=stream.read8(),
        name=stream.read_prefixed_string(), media_type=stream.read_prefixed_string(),
        data_size=stream.read8())


def _body(file: BinaryIO, offset: int, end: int) -> bytes:
    file.seek(offset + HEAD.size)
    return file.read(end - offset - HEAD.size)
