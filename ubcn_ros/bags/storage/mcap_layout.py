# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find where the records of an mcap file begin, also behind damaged ones."""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

from mcap.opcode import Opcode
from mcap.records import ChunkIndex

from ubcn_ros.bags.storage.mcap_summary import MAGIC
from ubcn_ros.bags.storage.reach import check_in_reach

HEAD = struct.Struct('<BQ')  # of a record: opcode, length of what follows
SHORTEST = {Opcode.SCHEMA: 14, Opcode.CHANNEL: 16, Opcode.MESSAGE: 22, Opcode.CHUNK: 40,
            Opcode.MESSAGE_INDEX: 6, Opcode.ATTACHMENT: 36, Opcode.METADATA: 8,
            Opcode.DATA_END: 4}
"""Shortest length of what follows the head, of the records that data are made of."""
PRIVATE = 0x80
"""Opcodes from here on are anybody's."""
DAMAGE, CUT = -1, -2
"""Instead of an opcode: no record begins there; the file ends there without being closed."""

_INDEX = struct.Struct('<HI')  # of an index of messages: channel, length of what follows
_CHUNK = re.compile(rb'\x06(?=(.{8}).{28}(\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd)(.{8}))',
                    re.DOTALL)
_RECORD = re.compile(b'[' + b''.join(b'\\x%02x' % opcode for opcode in sorted(SHORTEST))
                     + rb'](?=.{5}\x00{3})', re.DOTALL)  # shorter than 2**40 bytes
_LONGEST = 64  # bytes that these patterns look at
_CHAIN = 3  # records that follow each other do not occur by chance
_WINDOW, _LOST = 1 << 20, 1 << 12  # bytes that are searched, and left out, at once

_Read = Callable[[int, int], bytes | None]  # `_read` of a file, from an offset so many bytes


class Place(NamedTuple):
    """A record, or what is there instead: DAMAGE or CUT."""

    opcode: int
    offset: int
    end: int


def has_loose_messages(file: BinaryIO, chunks: Sequence[ChunkIndex], data_end: int) -> bool:
    """
    Return whether messages stand outside of the chunks of a file, which no index names.

    Only heads of records are read, and none where chunks follow each other.

    :param data_end: the offset of the record that ends the data.
    """
    offset = len(MAGIC)
    ends = [(c.chunk_start_offset, c.chunk_start_offset + c.chunk_length + c.message_index_length)
            for c in chunks]
    for start, end in sorted([*ends, (data_end, data_end)]):
        while offset < start:
            file.seek(offset)
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                break
            opcode, length = HEAD.unpack(head)
            if opcode == Opcode.MESSAGE:
                return True
            offset += HEAD.size + length
        offset = max(offset, end)
    return False


def find_records(file: BinaryIO, size: int, data_end: int, skip_lost: bool = False
                 ) -> Iterator[Place]:
    """
    Yield the records of the data, and what is damaged between them.

    :param size: of the file.
    :param data_end: where the record is that ends the data; 0 where it is not known.
    :param skip_lost: whether a place that the disk has lost is damage, not an error.
    :raises BagOutOfReach: the file's disk or server is gone, and `skip_lost`.
    :raises OSError: it cannot be read.
    """
    offset, start, limit = len(MAGIC), 0, data_end or size
    chunked = False
    read = partial(_read, file, skip_lost)
    while offset != data_end:
        head = read(offset, HEAD.size + _INDEX.size) or b''
        opcode, length = HEAD.unpack_from(head) if len(head) >= HEAD.size else (0, 0)
        end = offset + HEAD.size + length
        legal = opcode >= PRIVATE or _is_record(opcode, length) or (
            opcode == Opcode.HEADER and offset == len(MAGIC))
        if opcode == Opcode.MESSAGE_INDEX and legal and end <= limit:
            legal = _INDEX.unpack_from(head, HEAD.size)[1] == length - _INDEX.size
        if opcode == Opcode.DATA_END and legal and not data_end:
            return
        chunked |= opcode == Opcode.CHUNK
        if end > limit or not legal or opcode == Opcode.DATA_END:
            following = _next_chunk(read, offset + 1, size)
            if following is None and not chunked:
                following = _next_record(read, (start or offset) + 1, limit)
            following = following or data_end
            if not following:
                yield Place(CUT, offset, size)
                if opcode == Opcode.CHUNK:
                    yield Place(opcode, offset, size)
                return
            yield Place(DAMAGE, offset, following)
            offset, start = following, 0
            continue
        yield Place(opcode, offset, end)
        start, offset = offset, end  # its length may be damaged, and others lie in it


def _is_record(opcode: int, length: int) -> bool:
    return length >= SHORTEST.get(opcode, length + 1) and (
        opcode != Opcode.DATA_END or length == SHORTEST[opcode])


def _next_record(read: _Read, offset: int, limit: int) -> int | None:
    """Find where records follow each other again; not to be asked of a file of chunks."""
    for start, _ in _matches(_RECORD, read, offset, limit):
        at = start
        for _ in range(_CHAIN):
            head = read(at, min(HEAD.size, limit - at)) or b''
            opcode, length = HEAD.unpack(head) if len(head) == HEAD.size else (0, 0)
            first, at = at == start, at + HEAD.size + length
            if not _is_record(opcode, length) or at > limit or (
                    first and opcode == Opcode.DATA_END):  # 13 bytes may be by chance
                break
            if opcode == Opcode.DATA_END or at == limit:
                return start
        else:
            return start
    return None


def _next_chunk(read: _Read, offset: int, size: int) -> int | None:
    """Find the next whole chunk: lengths that fit each other do not occur by chance."""
    for start, match in _matches(_CHUNK, read, offset, size):
        length, stored = (int.from_bytes(match[n], 'little') for n in (1, 3))
        head = match.end(3) - match.start()
        if length - stored == head - HEAD.size and start + head + stored <= size:
            return start
    return None


def _matches(pattern: re.Pattern[bytes], read: _Read, offset: int, limit: int
             ) -> Iterator[tuple[int, re.Match[bytes]]]:
    """Yield what matches between two places of a file, and where it begins."""
    begin, in_parts = offset, offset
    while begin < limit:
        window = _LOST - begin % _LOST if begin < in_parts else _WINDOW
        size = min(window + _LONGEST, limit - begin)
        data = read(begin, size)
        if data is None and begin >= in_parts:  # a part of it can be read
            in_parts = begin + window
            continue
        if data is None and size > window:  # perhaps what follows is lost alone
            data = read(begin, window)
        for match in pattern.finditer(data or b''):
            if match.start() < window:  # else it is of the next window
                yield begin + match.start(), match
        begin += window


def _read(file: BinaryIO, skip_lost: bool, offset: int, size: int) -> bytes | None:
    """Read a part of a file: None of a place that its disk has lost, where these are skipped."""
    try:
        file.seek(offset)
        return file.read(size)
    except OSError as error:
        if not skip_lost:
            raise
        check_in_reach(file.fileno(), file.name, error)
        if error.errno != errno.EIO:
            raise
        return None
