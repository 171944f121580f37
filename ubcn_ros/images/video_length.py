# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many bytes a video says it has: Matroska and WebM (RFC 9559, RFC 8794), AVI (RIFF)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1a45dfa3, 0x18538067
# What follows in a segment that was written live, without a length, and in such clusters. What
# is none of these is not of the video.
_CLUSTER = 0x1f43b675
_PARTS = {_EBML, _SEGMENT, _CLUSTER, 0x114d9b74, 0x1549a966, 0x1654ae6b, 0x1c53bb6b, 0x1254c367,
          0x1043a770, 0x1941a469, 0xec, 0xbf, 0xe7, 0xa3, 0xa0, 0xa7, 0xab}
_LONGEST_ID, _LONGEST_LENGTH = 4, 8


def announced_bytes(path: Path | str) -> int | None:
    """
    Return how many bytes a file has at least where it is whole, as its container says.

    None where it does not say, as other containers, and an AVI that was never closed. Of a
    Matroska that was written live, it is the end of the last part that says how long it is.
    """
    path = Path(path)
    if not path.is_file():  # a pipe is read once
        return None
    with path.open('rb') as file:
        start = file.read(4)
        file.seek(0)
        if start == b'RIFF':
            return _of_riff(file)
        return _of_ebml(file) if start == _EBML.to_bytes(4, 'big') else None


def _of_riff(file: BinaryIO) -> int | None:
    """Follow the chunks; above 1 GB an AVI has several."""
    end = None
    while (head := file.read(8))[:4] == b'RIFF' and len(head) == 8:
        length = int.from_bytes(head[4:], 'little')
        if length in (0, 0xffffffff):  # to be filled in when it is closed
            break
        end = file.seek(length, 1)
        file.seek(length % 2, 1)
    return end


def _of_ebml(file: BinaryIO) -> int | None:
    end = None
    while (name := _number(file, _LONGEST_ID, marked=True)) in _PARTS:
        length = _number(file, _LONGEST_LENGTH)
        if length is None:
            break
        if length >= 0:
            end = file.seek(length, 1)
            if name == _SEGMENT:
                break
        elif name not in (_SEGMENT, _CLUSTER):
            break
    return end


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
