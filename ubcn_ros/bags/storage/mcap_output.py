# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write one mcap file, also one that goes on where an interrupted one ends."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from mcap.records import Attachment
from mcap.writer import Writer

from ubcn_ros.bags.storage.channels import with_definition
from ubcn_ros.bags.storage.mcap_tail import LIBRARY, Tail, write_summary
from ubcn_ros.bags.storage.offered_qos import with_named_policies
from ubcn_ros.bags.storage.records import Channel, Record

_MESSAGE = 47  # bytes of one beside its data: 31 of its record, 16 of its chunk's index
_CHUNK = 4 << 20  # bytes; of the index, each chunk costs the writer about 1 KiB of memory


class McapOutput:
    """
    An mcap file that is written: a channel is registered with its first message, or before.

    :param path: of the file, to make; with `tail`, to go on with.
    :param tail: where an interrupted file ends; what is behind is removed but for `pending`.
    :raises OSError: it cannot be written; as the methods do.
    """

    def __init__(self, path: Path, tail: Tail | None = None):
        self.path = path
        self.messages = tail.messages if tail else 0
        self.first_ns = tail.first_ns if tail else None
        """Time of the first message that was written."""
        self._tail, self._pending = tail, 0  # bytes for the chunk that is being made
        self._channels: dict[Channel, int] = {}
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._file = path.open('r+b' if tail else 'xb')
        try:
            self._writer = Writer(self._file, _CHUNK)  # its chunks are zstd
            if tail:
                self._file.seek(tail.offset)
                self._restate(tail)
                self._file.truncate()
            else:
                self._writer.start('ros2', LIBRARY)
        except BaseException:
            self.abandon()
            raise

    def size_with(self, record: Record) -> int:
        """Return the bytes of the file with another message, but for its summary."""
        return self._file.tell() + self._pending + len(record.data) + _MESSAGE

    def add_channel(self, channel: Channel) -> int:
        """Register a channel, if it is not there yet; return its number."""
        channel = _as_written(channel)
        if channel not in self._channels:
            self._channels[channel] = self._writer.register_channel(
                channel.topic, channel.encoding, self._add_schema(channel),
                dict(channel.metadata))
        return self._channels[channel]

    def write(self, record: Record) -> None:
        """Write a message."""
        place = self._file.tell()
        self._writer.add_message(self.add_channel(record.channel), record.time_ns, record.data,
                                 record.publish_ns, record.sequence)
        self._pending += len(record.data) + _MESSAGE
        if self._file.tell() != place:
            self._pending = 0
        self.first_ns = record.time_ns if self.first_ns is None else self.first_ns
        self.messages += 1

    def attach(self, attachment: Attachment) -> None:
        """Write an attachment."""
        self._writer.add_attachment(attachment.create_time, attachment.log_time, attachment.name,
                                    attachment.media_type, attachment.data)

    def add_metadata(self, name: str, metadata: dict[str, str]) -> None:
        """Write a metadata record."""
        self._writer.add_metadata(name, metadata)

    def flush(self) -> None:
        """Close the chunk, and wait until all is on the disk."""
        self._writer.flush()
        os.fsync(self._file.fileno())
        self._pending = 0

    def finish(self) -> None:
        """Write the summary, and close the file."""
        if self._tail is None:
            self._writer.finish()
        else:  # the library knows only what was written since
            self._writer.flush()
            write_summary(self._file, self._schemas, (
                (channel, number, self._add_schema(channel))
                for channel, number in self._channels.items()))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        with suppress(OSError):
            self._file.close()

    def _add_schema(self, channel: Channel) -> int:
        if not channel.schema_name:
            return 0  # none, by the format
        schema = channel.schema_name, channel.schema_encoding, channel.definition
        if schema not in self._schemas:
            self._schemas[schema] = self._writer.register_schema(*schema)
        return self._schemas[schema]

    def _restate(self, tail: Tail) -> None:
        """
        Register what the file has under the same numbers, which count from 1, and go on there.

        What is kept of the next chunk is written over it before the rest is cut off: a kill
        between loses nothing.
        """
        for schema in tail.schemas:
            self._schemas[schema] = self._writer.register_schema(*schema)
        for channel in tail.channels:
            self.add_channel(channel)
        for record in tail.pending:
            self.write(record)
        if tail.pending:
            self.flush()


@cache  # asked with each message
def _as_written(channel: Channel) -> Channel:
    return with_named_policies(with_definition(channel))
