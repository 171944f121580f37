# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How many bytes a video says it has.

Matroska and WebM (RFC 9559, RFC 8794), AVI (RIFF), FLV, WMV (ASF), MPEG-TS (H.222.0).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1a45dfa3, 0x18538067
# What follows in a segment that was written live, without a length, and in such clusters. What
# is none of these is not of the video.
_CLUSTER = 0x1f43b675
_PARTS = {_EBML, _SEGMENT, _CLUSTER, 0x114d9b74, 0x1549a966, 0x1654ae6b, 0x1c53bb6b, 0x1254c367,
          0x1043a770, 0x1941a469, 0xec, 0xbf, 0xe7, 0xa3, 0xa0, 0xa7, 0xab}
_LONGEST_ID, _LONGEST_LENGTH = 4, 8
_FLV_TAGS, _FLV_TAG_HEAD = {8, 9, 18}, 11  # sound, video, script
_ASF_HEADER = bytes.fromhex('3026b2758e66cf11a6d900aa0062ce6c')
_ASF_DATA = bytes.fromhex('3626b2758e66cf11a6d900aa0062ce6c')
_TS_SYNC, _TS_PACKETS = b'\x47', {188: 0, 192: 4}  # bytes of a packet -> place of its sync byte


def announced_bytes(path: Path | str) -> int | None:
    """
    Return how many bytes a file has at least where it is whole, as its container says.

    None where it does not say, as other containers, and an AVI that was never closed. Where only
    parts say how long they are, as in a Matroska that was written live, it is the end of the last.
    """
    path = Path(path)
    if not path.is_file():  # a pipe is read once
        return None
    with path.open('rb') as file:
        start = file.read(max(_TS_PACKETS) + 5)
        file.seek(0)
        for first, read in ((b'RIFF', _of_riff), (_EBML.to_bytes(4, 'big'), _of_ebml),
                            (b'FLV\x01', _of_flv), (_ASF_HEADER, _of_asf)):
            if start.startswith(first):
                return read(file)
        for packet, sync in _TS_PACKETS.items():
            if start[sync::packet] == _TS_SYNC * 2:
                return _of_ts(file, packet, sync)
    return None


def _of_riff(file: BinaryIO) -> int | None:
    """Follow the chunks; above 1 GB an AVI has several."""
    end = None
    while (head := file.read(8))[:4] == b'RIFF' and len(head) == 8:
        length = int.from_bytes(head[4:], 'little')
        if length in (0, 0xffffffff):  # to be filled in when it is closed
            break
        end = _skip(file, length)
        _skip(file, length % 2)
    return end


def _of_ebml(file: BinaryIO) -> int | None:
    end = None
    while (name := _number(file, _LONGEST_ID, marked=True)) in _PARTS:
        length = _number(file, _LONGEST_LENGTH)
        if length is None:
            break
        if length >= 0:
            end = _skip(file, length)
            if name == _SEGMENT:
                break
        elif name not in (_SEGMENT, _CLUSTER):
            break
    return end


def _of_flv(file: BinaryIO) -> int | None:
    """Follow the tags; before each is the length of the one before."""
    end = int.from_bytes(file.read(9)[5:], 'big')
    file.seek(end + 4)
    while (head := file.read(4)) and head[0] in _FLV_TAGS:
        end = _skip(file, _FLV_TAG_HEAD - 4 + int.from_bytes(head[1:], 'big'))
        _skip(file, 4)
    return end


def _of_asf(file: BinaryIO) -> int | None:
    """Find the end of the data behind the header; one that was written live says too little."""
    end = _skip(file, int.from_bytes(file.read(24)[16:], 'little') - 24)
    data = file.read(24)
    return end + int.from_bytes(data[16:], 'little') if data.startswith(_ASF_DATA) else None


def _of_ts(file: BinaryIO, packet: int, sync: int) -> int:
    """Round up to whole packets, if what there is of the last looks like one."""
    size = file.seek(0, 2)
    rest = size % packet
    file.seek(size - rest + sync)
    return size - rest + packet * (file.read(1) == _TS_SYNC and rest > 0)


def _skip(file: BinaryIO, length: int) -> int:
    """Return the place so many bytes on, and go there, or, where the file ends before, to that."""
    place = file.tell() + length
    file.seek(max(0, min(place, os.fstat(file.fileno()).st_size)))
    return place


def _number(file: BinaryIO, longest: int, marked: bool = False) -> int | None:
    """
    Read a number of as many bytes as its first bit that is set says.

    :param marked: that bit is part of it, as in the names of elements.
    :return: -1 where all bits are set, for 'unknown'; None where the file ends or it is longer.
    """
    first = file.read(1)
    size = 9 - first[0].bit_length() if first else 0
    if not 0 < size <= longest:
        return None
    rest = file.read(size - 1)
    if len(rest) < size - 1:
        return None
    number = int.from_bytes(first + rest, 'big')
    if marked:
        return number
    mark = 1 << 7 * size
    return -1 if number == 2 * mark - 1 else number - mark
