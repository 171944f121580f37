# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read the end of an mcap file: where its data end, and its summary where that is whole."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Statistics
from mcap.summary import Summary

MAGIC = b'\x89MCAP0\r\n'
_FOOTER = struct.Struct('<BQQQI')  # opcode, length; start of summary, of its offsets; checksum
_DATA_END = struct.Struct('<BQI')  # opcode, length; checksum of the data

_INDEX_HEAD, _INDEX_ENTRY = 15, 16  # bytes of a MessageIndex, and for each message


class McapEnd(NamedTuple):
    """
    What the end of an mcap file says.

    `closed` is whether the writer closed the file, `data_end` the offset of the record that ends
    the data, 0 where it is not known, and `data_checksum` what that record says, 0 for nothing;
    `summary` is None where there is none and where it is not whole, which `damaged` tells.
    """

    closed: bool
    data_end: int = 0
    data_checksum: int = 0
    summary: Summary | None = None
    damaged: bool = False


def read_end(path: Path) -> McapEnd:
    """Read the footer of an mcap file, and the summary that it points to."""
    size = path.stat().st_size
    footer = size - len(MAGIC) - _FOOTER.size
    with path.open('rb') as file:
        file.seek(max(0, footer))
        tail = file.read()
        if footer < 0 or not tail.endswith(MAGIC):
            return McapEnd(False)
        opcode, length, start, _, checksum = _FOOTER.unpack_from(tail)
        data_end = (start or footer) - _DATA_END.size
        if (opcode, length) != (Opcode.FOOTER, 20) or not 0 < data_end < footer:
            return McapEnd(True, damaged=True)
        file.seek(data_end)
        opcode, length, data_checksum = _DATA_END.unpack(file.read(_DATA_END.size))
        if (opcode, length) != (Opcode.DATA_END, 4):
            return McapEnd(True, damaged=True)
        if not start:
            return McapEnd(True, data_end, data_checksum)
        block = file.read(size - len(MAGIC) - 4 - start)
        try:
            if checksum not in (0, zlib.crc32(block)):
                raise ValueError('checksum')
            file.seek(0)
            summary = SeekingReader(file, record_size_limit=size).get_summary()
            if not _fits(summary):
                raise ValueError('contradiction')
        except Exception:  # a damaged summary ends in errors of many kinds
            return McapEnd(True, data_end, data_checksum, damaged=True)
    return McapEnd(True, data_end, data_checksum, summary)


def counts(summary: Summary | None) -> dict[int, int] | None:
    """Return how many messages a summary says there are by channel, None where it does not."""
    statistics: Statistics | None = summary and summary.statistics
    if statistics is None or (sum(statistics.channel_message_counts.values())
                              != statistics.message_count):
        return None
    return statistics.channel_message_counts


def is_index(summary: Summary | None) -> bool:
    """Return whether a summary names every chunk and channel of its file, and all messages."""
    return bool(counts(summary) is not None and summary.channels
                and len(summary.chunk_indexes) == summary.statistics.chunk_count > 0
                and _indexed(summary) in (None, summary.statistics.message_count)
                and {c.schema_id for c in summary.channels.values()} <= {0, *summary.schemas})


def _indexed(summary: Summary) -> int | None:
    """Return how many messages chunks hold by their indexes: more may be between; None: none."""
    # one without may have none: then it adds nothing, else the sum is too small
    chunks = [c for c in summary.chunk_indexes
              if c.message_index_offsets and c.message_start_time <= c.message_end_time]
    if not chunks:
        return None
    return sum((chunk.message_index_length - _INDEX_HEAD * len(chunk.message_index_offsets))
               // _INDEX_ENTRY for chunk in chunks)


def _fits(summary: Summary) -> bool:
    """Return whether the channels that a summary's records speak of are among its own."""
    spoken = {*(counts(summary) or ()),
              *(number for c in summary.chunk_indexes for number in c.message_index_offsets)}
    return not summary.channels or spoken <= summary.channels.keys()
