# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read an mcap file, also one without an index, cut off, or damaged.

Format: https://mcap.dev/spec. The library `mcap` reads records; which of them are whole, and
where the next one begins after a damaged one, is found out here.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Attachment, ChunkIndex, Metadata
from mcap.records import Channel as ChannelRecord
from mcap.records import Schema as SchemaRecord
from mcap.summary import Summary

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.storage.mcap_layout import (
    CUT,
    DAMAGE,
    HEAD,
    PRIVATE,
    SHORTEST,
    Place,
    find_records,
    has_loose_messages,
)
from ubcn_ros.bags.storage.mcap_records import IN_CHUNK, Message, channel_of, parse, parse_chunk
from ubcn_ros.bags.storage.mcap_summary import counts, is_index, read_end
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.bags.storage.records import Channel, Record, SortedRecords, Storage, merge

_EXTRAS = {Opcode.ATTACHMENT: Attachment, Opcode.METADATA: Metadata}
_LONG_NS = 10_000_000_000
_RUN = 1 << 20  # bytes of messages outside of chunks that are one block


class _Block(NamedTuple):
    """A chunk, or messages that follow each other outside of chunks."""

    opcode: int  # of its first record
    first: int  # times of messages, ns
    last: int
    offset: int
    end: int
    channels: Collection[int]  # none: not known


class McapFile(Storage):
    """
    The channels of an mcap file, and its records, read block by block; a context manager.

    :param path: the file.
    :param name: for texts.
    :raises BagError: nothing in it is whole.
    """

    def __init__(self, path: Path, name: str):
        self.channels: dict[int, Channel] = {}
        self.counts: dict[int, int] = {}
        """Messages by channel, as the file announces them, or as they were found."""
        self.problems: list[str] = []
        """What could not be read, and why."""
        self.notes: list[str] = []
        self.complete = True
        """Whether the file was closed by its writer."""
        self._name = name
        self._damage: set[int] = set()
        self._blocks: list[_Block] = []
        self._extras: dict[int, list[int]] | None = None  # offsets by opcode
        self._end = read_end(path)
        self._file = path.open('rb')
        try:
            self._size = path.stat().st_size
            summary = self._end.summary
            self.indexed = is_index(summary) and not has_loose_messages(
                self._file, summary.chunk_indexes, self._end.data_end)
            if self.indexed:
                self._take_index(summary)
            else:
                self._scan()
            self._end = self._end._replace(summary=None)  # large, and needed no more
            self._blocks.sort(key=attrgetter('first', 'offset'))
            if self.problems and not self.channels:
                raise BagError(f'{name} cannot be read: no record in it that names a topic is '
                               'whole; give another copy of the file, if there is one')
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> McapFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """Times of the first and last message, ns; None where there is none."""
        if not self._blocks:
            return None
        return self._blocks[0].first, max(block.last for block in self._blocks)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield times of the first and last message of each block, of a long one of each, ns."""
        for block in self._blocks:
            if block.last - block.first < _LONG_NS:
                yield block.first, block.last
            else:  # the clock may have been set in it
                yield from ((record.time, record.time)
                            for record in self._parse_block(block.offset, block.end)
                            if isinstance(record, Message))

    def records(self, channels: set[int], start: float, end: float) -> Iterator[Record]:
        """Yield the records of these channels with start <= time < end (ns), by time."""
        return merge(
            SortedRecords(block.first, block.offset, self._load(block, channels, start, end))
            for block in self._blocks if block.last >= start and block.first < end
            and (not block.channels or not channels.isdisjoint(block.channels)))

    def attachments(self) -> Iterator[Attachment]:
        """Yield the attachments that are whole, in the order of the file."""
        return self._read_extras(Opcode.ATTACHMENT)

    def metadata_records(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield name and content of the metadata records, in the order of the file."""
        for record in self._read_extras(Opcode.METADATA):
            yield record.name, record.metadata

    def _load(self, block: _Block, channels: set[int], start: int, end: int) -> Iterator[Record]:
        """Yield the records of a block, as far as it is whole, by time."""
        messages = []
        for record in self._parse_block(block.offset, block.end):
            if isinstance(record, Message):
                if record.channel in channels and start <= record.time < end:
                    messages.append(record)
            elif isinstance(record, ChannelRecord) and (
                    record.id not in self.channels
                    or self.channels[record.id].topic != record.topic):
                self._note_damage(block.offset, f'it names topic {record.topic}, the end of the '
                                  'file another')
        messages.sort(key=attrgetter('time'))
        for message in messages:
            yield message.record(self.channels)

    def _take_index(self, summary: Summary) -> None:
        """Take channels and blocks from a summary that names all."""
        self._take_channels(summary.channels, summary.schemas, counts(summary))
        same: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._blocks = [_Block(Opcode.CHUNK, chunk.message_start_time, chunk.message_end_time,
                               chunk.chunk_start_offset,
                               chunk.chunk_start_offset + chunk.chunk_length,
                               same.setdefault(key := tuple(chunk.message_index_offsets), key))
                        for chunk in summary.chunk_indexes if self._has_messages(chunk)]
        statistics = summary.statistics
        if (len(summary.attachment_indexes), len(summary.metadata_indexes)) == (
                statistics.attachment_count, statistics.metadata_count):
            self._extras = {Opcode.ATTACHMENT: [i.offset for i in summary.attachment_indexes],
                            Opcode.METADATA: [i.offset for i in summary.metadata_indexes]}

    def _has_messages(self, chunk: ChunkIndex) -> bool:
        """Say whether a chunk has messages; one without has times of 0, as a message may have."""
        if chunk.message_index_offsets or chunk.message_start_time or chunk.message_end_time:
            return chunk.message_start_time <= chunk.message_end_time
        start = chunk.chunk_start_offset
        return any(isinstance(record, Message)
                   for record in self._parse_block(start, start + chunk.chunk_length))

    def _scan(self) -> None:
        """Find channels and blocks by going through all the data."""
        summary = self._end.summary or Summary()
        channels, schemas, total = dict(summary.channels), dict(summary.schemas), Counter()
        for place in self._places():
            times, found = [], Counter()
            for record in self._parse_block(place.offset, place.end):
                if isinstance(record, SchemaRecord | ChannelRecord):
                    known = schemas if isinstance(record, SchemaRecord) else channels
                    if known.setdefault(record.id, record) != record:
                        self._note_damage(place.offset, f'record {record.id} of its schemas or '
                                          'channels is there twice, and different')
                else:
                    times.append(record.time)
                    found[record.channel] += 1
            if times:
                self._add_block(_Block(place.opcode, min(times), max(times), place.offset,
                                       place.end, frozenset(found)))
                total += found
        said = counts(summary)
        self._take_channels(channels, schemas, total if said is None else said)
        if unknown := sum(total[number] for number in total.keys() - channels.keys()):
            self.problems.append(f'{self._name}: {unknown} messages are of no known topic, as the '
                                 'record that names it is damaged; give another copy of the file, '
                                 'if there is one')
        if not self.problems and self._end.data_checksum not in (0, self._data_checksum()):
            self.problems.append(f'{self._name} is damaged (the checksum of its data differs): '
                                 'what is there was read; give another copy of the file, if '
                                 'there is one')
        if not self.problems and (self._end.damaged or not self._end.closed):
            self.notes.append(f'{self._name} has a damaged end: its topics and counts are taken '
                              'from its data, which are whole')

    def _take_channels(self, channels: dict[int, ChannelRecord],
                       schemas: dict[int, SchemaRecord], number: Mapping[int, int]) -> None:
        self.channels = {key: channel_of(channel, schemas.get(channel.schema_id))
                         for key, channel in channels.items()}
        self.counts = {key: number.get(key, 0) for key in channels}

    def _add_block(self, block: _Block) -> None:
        """Add a block, to the one before if both are messages that follow each other."""
        before = self._blocks[-1] if self._blocks else None
        if (before and before.opcode == block.opcode == Opcode.MESSAGE
                and before.end == block.offset and block.end - before.offset <= _RUN):
            self._blocks[-1] = _Block(
                block.opcode, min(before.first, block.first), max(before.last, block.last),
                before.offset, block.end, before.channels | block.channels)
        else:
            self._blocks.append(block)

    def _data_checksum(self) -> int:
        checksum, left = 0, self._end.data_end
        self._file.seek(0)
        while left and (block := self._file.read(min(left, 1 << 20))):
            checksum, left = zlib.crc32(block, checksum), left - len(block)
        return checksum

    def _places(self) -> Iterator[Place]:
        """Yield schemas, channels, messages and chunks, note the others."""
        extras: dict[int, list[int]] = {opcode: [] for opcode in _EXTRAS}
        private = 0
        for place in find_records(self._file, self._size, self._end.data_end,
                                  skip_lost=True):
            if place.opcode == DAMAGE:
                self._note_damage(place.offset, 'no record begins there')
            elif place.opcode == CUT:
                self._note_cut(place.offset)
            elif place.opcode in _EXTRAS:
                extras[place.opcode].append(place.offset)
            elif place.opcode in IN_CHUNK or place.opcode == Opcode.CHUNK:
                yield place
            private += place.opcode >= PRIVATE
        if private:
            self.notes.append(f'{self._name} has records of private kinds ({private}), which '
                              'were not read')
        self._extras = extras

    def _read_extras(self, opcode: int) -> Iterator[Attachment | Metadata]:
        """Yield the attachments or metadata records that are whole."""
        if self._extras is None:
            for _ in self._places():
                pass
        for offset in self._extras[opcode]:
            try:
                self._file.seek(offset)
                found, length = HEAD.unpack(self._file.read(HEAD.size))
                body = self._file.read(min(length, self._size))
                if found != opcode or not SHORTEST[opcode] <= length == len(body):
                    raise ValueError('no whole record is there')
                if opcode == Opcode.ATTACHMENT and int.from_bytes(body[-4:], 'little') not in (
                        0, zlib.crc32(body[:-4])):
                    raise ValueError('the checksum of an attachment differs')
                record = _EXTRAS[opcode].read(ReadDataStream(BytesIO(body)))
            except Exception as error:  # a damaged record ends in errors of many kinds
                check_in_reach(self._file.fileno(), self._name, error)
                self._note_damage(offset, reason(error))
                continue
            yield record

    def _parse_block(self, offset: int, end: int
                     ) -> Iterator[SchemaRecord | ChannelRecord | Message]:
        """Yield the records from there on, and those of a chunk there, as far as it is whole."""
        try:
            while offset < end:
                self._file.seek(offset)
                opcode, length = HEAD.unpack(self._file.read(HEAD.size))
                body = self._file.read(min(length, self._size))
                if opcode == Opcode.CHUNK:
                    yield from parse_chunk(body, length)
                    return
                if opcode not in IN_CHUNK:
                    raise ValueError('no record with messages begins there')
                yield parse(opcode, memoryview(body))
                offset += HEAD.size + length
        except Exception as error:  # decompression and damaged records end in many kinds
            check_in_reach(self._file.fileno(), self._name, error)
            self._note_damage(offset, reason(error))

    def _note_damage(self, offset: int, why: str) -> None:
        if offset not in self._damage:
            self._damage.add(offset)
            self.problems.append(f'{self._name} is damaged at byte {offset} ({why}): what is '
                                 'whole before and after was read; give another copy of the file, '
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
