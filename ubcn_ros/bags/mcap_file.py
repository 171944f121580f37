# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read an mcap file, also one without an index, cut off, or damaged.

Format: https://mcap.dev/spec. The library `mcap` reads records; which of them are whole, and
where the next one begins after a damaged one, is found out here.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, Schema
from mcap.stream_reader import get_chunk_data_stream

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.stored import StoredTopic

_START = 8  # bytes of magic
_HEAD = struct.Struct('<BQ')  # of a record: opcode, length of what follows
_MESSAGE = struct.Struct('<HIQQ')  # of a message: channel, sequence, log time, publish time
_WANTED = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.CHUNK)
_OPCODES = frozenset([*Opcode, *range(0x80, 0x100)])  # those from 0x80 on are anybody's
_CHUNK = re.compile(rb'\x06(.{8}).{28}(\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd)(.{8})', re.DOTALL)
_DEFINITIONS = ('ros2msg', 'ros2idl', 'omgidl', '')  # encodings of a CDR message's definition


class _Message(NamedTuple):
    channel: int
    time: int  # ns
    data: memoryview


class McapFile:
    """
    The topics of an mcap file, and its messages block by block; a context manager.

    A block is a chunk, or a message outside of one, known by its offset.

    :param path: the file.
    :param name: for texts.
    :raises BagError: nothing in it is whole.
    """

    def __init__(self, path: Path, name: str):
        self.topics: dict[int, StoredTopic] = {}
        """By channel."""
        self.problems: list[str] = []
        """What could not be read, and why."""
        self.notes: list[str] = []
        self.complete = True
        """Whether the file was closed by its writer."""
        self._name = name
        self._damage: set[int] = set()
        self._blocks: list[tuple[int, int, Iterable[int]]] = []  # first time, offset, channels
        self._file = path.open('rb')
        try:
            self._size = path.stat().st_size
            if not self._read_summary():
                self._scan()
            if self.problems and not self.topics:
                raise BagError(f'{name} cannot be read: no record in it that names a topic is '
                               'whole; take another copy of the file, if there is one')
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> McapFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, topics: set[int]) -> Iterator[tuple[int, int]]:
        """Yield the time, nanoseconds, and the key of each block that may hold these topics."""
        for time, offset, channels in self._blocks:
            if not channels or not topics.isdisjoint(channels):
                yield time, offset

    def load(self, offset: int, topics: set[int]) -> Iterator[tuple[int, int, bytes]]:
        """Yield time, topic and data of the messages of a block, as far as it is whole."""
        for record in self._records(offset):
            if isinstance(record, _Message) and record.channel in topics:
                yield record.time, record.channel, bytes(record.data)

    def _read_summary(self) -> bool:
        """Take topics and chunks from the summary; return whether it names all."""
        try:
            summary = SeekingReader(self._file, record_size_limit=self._size).get_summary()
            statistics = summary.statistics
            counts = statistics.channel_message_counts
            chunks = summary.chunk_indexes
            if not (len(chunks) == statistics.chunk_count > 0 and summary.channels
                    and {c.schema_id for c in summary.channels.values()} <= {0, *summary.schemas}
                    and sum(counts.values()) == statistics.message_count):
                return False
            self.topics = {
                number: _topic(channel, summary.schemas.get(channel.schema_id),
                               counts.get(number, 0))
                for number, channel in summary.channels.items()}
        except Exception:  # a damaged summary ends in errors of many kinds
            return False
        self._blocks = [(chunk.message_start_time, chunk.chunk_start_offset,
                         tuple(chunk.message_index_offsets)) for chunk in chunks]
        return True

    def _scan(self) -> None:
        """Find topics and blocks by going through the whole file."""
        channels, schemas, counts = {}, {}, Counter()
        for offset in self._offsets():
            times, found = [], Counter()
            for record in self._records(offset):
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                else:
                    times.append(record.time)
                    found[record.channel] += 1
            if times:
                self._blocks.append((min(times), offset, tuple(found)))
                counts += found
        self.topics = {number: _topic(channel, schemas.get(channel.schema_id), counts[number])
                       for number, channel in channels.items()}
        if unknown := sum(counts[number] for number in counts.keys() - channels.keys()):
            self.problems.append(f'{self._name}: {unknown} messages are of no known topic, as the '
                                 'record that names it is damaged; take another copy of the file, '
                                 'if there is one')

    def _offsets(self) -> Iterator[int]:
        """Yield where schemas, channels, messages and chunks begin; pass over what is damaged."""
        offset, in_data = _START, True
        while True:
            self._file.seek(offset)
            head = self._file.read(_HEAD.size)
            opcode, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            if opcode == Opcode.FOOTER:
                return
            end = offset + _HEAD.size + length
            if end > self._size or opcode not in _OPCODES:
                if not in_data:  # what follows the data repeats them
                    return
                following = self._next_chunk(offset + 1)
                if following is None:
                    self._note_cut(offset)
                    if opcode == Opcode.CHUNK:
                        yield offset
                    return
                self._note_damage(offset, 'no record begins there')
                offset = following
                continue
            if opcode == Opcode.DATA_END:
                in_data = False
            if opcode in _WANTED:
                yield offset
            offset = end

    def _next_chunk(self, offset: int) -> int | None:
        """Find the next whole chunk: lengths that fit each other do not occur by chance."""
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for match in _CHUNK.finditer(data, offset):
                length, size = (int.from_bytes(match[n], 'little') for n in (1, 3))
                inside = length - size - (match.end() - match.start() - _HEAD.size)
                if inside == 0 and match.end() + size <= self._size:
                    return match.start()
        return None

    def _records(self, offset: int) -> Iterator[Schema | Channel | _Message]:
        """Yield the record there, or those of the chunk there, as far as they are whole."""
        try:
            self._file.seek(offset)
            opcode, length = _HEAD.unpack(self._file.read(_HEAD.size))
            body = self._file.read(min(length, self._size))
            if opcode not in _WANTED:
                raise ValueError('no record with messages begins there')
            if opcode != Opcode.CHUNK:
                yield from _parse(opcode, memoryview(body))
                return
            chunk = Chunk.read(ReadDataStream(BytesIO(body)))
            stream, size = get_chunk_data_stream(chunk, validate_crc=len(body) == length)
            data, at = memoryview(stream.read(size)), 0
            while at < size:
                opcode, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                if at + length > size or opcode not in _OPCODES:
                    raise ValueError('a record in it is not whole')
                yield from _parse(opcode, data[at:at + length])
                at += length
        except Exception as error:  # decompression and damaged records end in many kinds
            self._note_damage(offset, reason(error))

    def _note_damage(self, offset: int, why: str) -> None:
        if offset not in self._damage:
            self._damage.add(offset)
            self.problems.append(f'{self._name} is damaged at byte {offset} ({why}): what is '
                                 'whole before and after was read; take another copy of the file, '
                                 'if there is one')

    def _note_cut(self, offset: int) -> None:
        self.complete = False
        self._damage.add(offset)
        self.problems.append(
            f'{self._name} was not closed, as by a power cut or a kill: what is whole, up to byte '
            f'{offset} of {self._size}, was read; `mcap recover` makes a whole file of it')


def _parse(opcode: int, body: memoryview) -> Iterator[Schema | Channel | _Message]:
    if opcode == Opcode.MESSAGE:
        channel, _, time, _ = _MESSAGE.unpack_from(body)
        yield _Message(channel, time, body[_MESSAGE.size:])
    elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
        record = Schema if opcode == Opcode.SCHEMA else Channel
        yield record.read(ReadDataStream(BytesIO(body)))


def _topic(channel: Channel, schema: Schema | None, count: int) -> StoredTopic:
    name = schema.name if schema else ''
    if name.count('/') == 1:
        name = name.replace('/', '/msg/')
    encoding = channel.message_encoding
    if encoding == 'cdr' and schema and schema.encoding not in _DEFINITIONS:
        encoding = schema.encoding
    return StoredTopic(channel.topic, name, encoding, count)
