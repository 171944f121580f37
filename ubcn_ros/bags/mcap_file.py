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
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Schema
from mcap.stream_reader import get_chunk_data_stream
from mcap.summary import Summary

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.mcap_summary import MAGIC, counts, is_index, read_end
from ubcn_ros.bags.stored import StoredTopic

_HEAD = struct.Struct('<BQ')  # of a record: opcode, length of what follows
_MESSAGE = struct.Struct('<HIQQ')  # of a message: channel, sequence, log time, publish time
_INDEX = struct.Struct('<HI')  # of an index of messages: channel, length of what follows
_IN_CHUNK = {Opcode.SCHEMA: 14, Opcode.CHANNEL: 16, Opcode.MESSAGE: _MESSAGE.size}
_IN_DATA = {**_IN_CHUNK, Opcode.CHUNK: 40, Opcode.MESSAGE_INDEX: 6, Opcode.ATTACHMENT: 36,
            Opcode.METADATA: 8, Opcode.DATA_END: 4}  # opcodes, shortest length
_WANTED = (*_IN_CHUNK, Opcode.CHUNK)
_PRIVATE = 0x80  # opcodes from here on are anybody's
_CHUNK = re.compile(rb'\x06(.{8}).{28}(\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd)(.{8})', re.DOTALL)
_RECORD = re.compile(b'[' + b''.join(b'\\x%02x' % opcode for opcode in sorted(_IN_DATA))
                     + rb'](?=.{5}\x00{3})', re.DOTALL)  # shorter than 2**40 bytes
_CHAIN = 3  # records that follow each other do not occur by chance
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
        self._end = read_end(path)
        self._file = path.open('rb')
        try:
            self._size = path.stat().st_size
            if is_index(self._end.summary):
                self._take_index(self._end.summary)
            else:
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
            if isinstance(record, _Message):
                if record.channel in topics:
                    yield record.time, record.channel, bytes(record.data)
            elif isinstance(record, Channel) and (
                    record.id not in self.topics
                    or self.topics[record.id].topic != record.topic):
                self._note_damage(offset, f'it names topic {record.topic}, the end of the file '
                                  'another')

    def _take_index(self, summary: Summary) -> None:
        """Take topics and blocks from a summary that names all."""
        self.topics = _topics(summary.channels, summary.schemas, counts(summary))
        self._blocks = [(chunk.message_start_time, chunk.chunk_start_offset,
                         tuple(chunk.message_index_offsets)) for chunk in summary.chunk_indexes]

    def _scan(self) -> None:
        """Find topics and blocks by going through all the data."""
        summary = self._end.summary or Summary()
        channels, schemas, total = dict(summary.channels), dict(summary.schemas), Counter()
        for offset in self._offsets():
            times, found = [], Counter()
            for record in self._records(offset):
                if isinstance(record, Schema | Channel):
                    known = schemas if isinstance(record, Schema) else channels
                    if known.setdefault(record.id, record) != record:
                        self._note_damage(offset, f'record {record.id} of its schemas or channels '
                                          'is there twice, and different')
                else:
                    times.append(record.time)
                    found[record.channel] += 1
            if times:
                self._blocks.append((min(times), offset, tuple(found)))
                total += found
        said = counts(summary)
        self.topics = _topics(channels, schemas, total if said is None else said)
        if unknown := sum(total[number] for number in total.keys() - channels.keys()):
            self.problems.append(f'{self._name}: {unknown} messages are of no known topic, as the '
                                 'record that names it is damaged; take another copy of the file, '
                                 'if there is one')
        if not self.problems and self._end.data_checksum not in (0, self._data_checksum()):
            self.problems.append(f'{self._name} is damaged (the checksum of its data differs): '
                                 'what is there was read; take another copy of the file, if '
                                 'there is one')
        if not self.problems and (self._end.damaged or not self._end.closed):
            self.notes.append(f'{self._name} has a damaged end: its topics and counts are taken '
                              'from its data, which are whole')

    def _data_checksum(self) -> int:
        checksum, left = 0, self._end.data_end
        self._file.seek(0)
        while left and (block := self._file.read(min(left, 1 << 20))):
            checksum, left = zlib.crc32(block, checksum), left - len(block)
        return checksum

    def _offsets(self) -> Iterator[int]:
        """Yield where schemas, channels, messages and chunks begin; pass over what is damaged."""
        offset, start, limit = len(MAGIC), 0, self._end.data_end or self._size
        chunked, private = False, 0
        while offset != self._end.data_end:
            self._file.seek(offset)
            head = self._file.read(_HEAD.size + _INDEX.size)
            opcode, length = _HEAD.unpack_from(head) if len(head) >= _HEAD.size else (0, 0)
            end = offset + _HEAD.size + length
            legal = opcode >= _PRIVATE or _is_record(opcode, length) or (
                opcode == Opcode.HEADER and offset == len(MAGIC))
            if opcode == Opcode.MESSAGE_INDEX and legal and end <= limit:
                legal = _INDEX.unpack_from(head, _HEAD.size)[1] == length - _INDEX.size
            if opcode == Opcode.DATA_END and legal and not self._end.data_end:
                break
            chunked |= opcode == Opcode.CHUNK
            if end > limit or not legal or opcode == Opcode.DATA_END:
                following = self._next_chunk(offset + 1)
                if following is None and not chunked:
                    following = self._next_record((start or offset) + 1)
                following = following or self._end.data_end
                if not following:
                    self._note_cut(offset)
                    if opcode == Opcode.CHUNK:
                        yield offset
                    break
                self._note_damage(offset, 'no record begins there')
                offset, start = following, 0
                continue
            if opcode in _WANTED:
                yield offset
            private += opcode >= _PRIVATE
            start, offset = offset, end  # its length may be damaged, and others lie in it
        if private:
            self.notes.append(f'{self._name} has records of private kinds ({private}), which '
                              'were not read')

    def _next_record(self, offset: int) -> int | None:
        """Find where records follow each other again; not to be asked of a file of chunks."""
        limit = self._end.data_end or self._size
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for match in _RECORD.finditer(data, offset, limit):
                at = match.start()
                for _ in range(_CHAIN):
                    opcode, length = (_HEAD.unpack_from(data, at) if at + _HEAD.size <= limit
                                      else (0, 0))
                    first, at = at == match.start(), at + _HEAD.size + length
                    if not _is_record(opcode, length) or at > limit or (
                            first and opcode == Opcode.DATA_END):  # 13 bytes may be by chance
                        break
                    if opcode == Opcode.DATA_END or at == limit:
                        return match.start()
                else:
                    return match.start()
        return None

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
            if len(body) == length and (len(chunk.data) + len(chunk.compression.encode())
                                        + _IN_DATA[Opcode.CHUNK] != length):
                raise ValueError('its lengths do not fit each other')
            stream, size = get_chunk_data_stream(chunk, validate_crc=len(body) == length)
            data, at = memoryview(stream.read(size)), 0
            while at < size:
                opcode, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                if at + length > size or not (opcode in _IN_CHUNK or opcode >= _PRIVATE):
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
        if self._end.closed:
            self._note_damage(offset, 'no whole record follows')
            return
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


def _is_record(opcode: int, length: int) -> bool:
    return length >= _IN_DATA.get(opcode, length + 1) and (
        opcode != Opcode.DATA_END or length == _IN_DATA[opcode])


def _topics(channels: dict[int, Channel], schemas: dict[int, Schema], number: Mapping[int, int]
            ) -> dict[int, StoredTopic]:
    return {key: _topic(channel, schemas.get(channel.schema_id), number.get(key, 0))
            for key, channel in channels.items()}


def _topic(channel: Channel, schema: Schema | None, count: int) -> StoredTopic:
    name = schema.name if schema else ''
    if name.count('/') == 1:
        name = name.replace('/', '/msg/')
    encoding = channel.message_encoding
    if encoding == 'cdr' and schema and schema.encoding not in _DEFINITIONS:
        encoding = schema.encoding
    return StoredTopic(channel.topic, name, encoding, count)
