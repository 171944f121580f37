# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What bags store: channels, and records in the order of time; what a storage file answers."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from mcap.records import Attachment

_CDR_DEFINITIONS = ('ros2msg', 'ros2idl', 'omgidl', '')


class Channel(NamedTuple):
    """
    A topic of one publisher, as it is stored.

    `msgtype` is like 'sensor_msgs/msg/Image', `encoding` that of the messages, 'cdr' for ROS 2.
    `schema_name`, `schema_encoding` and `definition` define the type, '' and b'' where the file
    does not; `metadata` are sorted, those of ROS 2 are named as in mcap files:
    'offered_qos_profiles' and 'topic_type_hash'.
    """

    topic: str
    msgtype: str
    encoding: str
    schema_name: str = ''
    schema_encoding: str = ''
    definition: bytes = b''
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def serialization(self) -> str:
        """How messages are read: by their encoding, or by a definition that is not one of CDR."""
        # without a text, as some recorders write 'unknown', nothing contradicts the encoding
        if (self.encoding == 'cdr' and self.definition
                and self.schema_encoding not in _CDR_DEFINITIONS):
            return self.schema_encoding
        return self.encoding

    @property
    def kind(self) -> tuple[str, str, str]:
        """Topic, type and serialization: channels that are alike in these are read as one."""
        return self.topic, self.msgtype, self.serialization


def by_kind(channels: Iterable[Channel]) -> dict[tuple[str, str, str], list[Channel]]:
    """Sort channels by what they are read as, in the order of the first of each."""
    groups: dict[tuple[str, str, str], list[Channel]] = {}
    for channel in channels:
        groups.setdefault(channel.kind, []).append(channel)
    return groups


class Record(NamedTuple):
    """
    A message as it is stored: serialized `data` of a channel.

    `time_ns` is when it was recorded (mcap: log time), `publish_ns` when it was published; in
    files that do not store the latter, and the sequence number, they are equal and 0.
    """

    channel: Channel
    time_ns: int
    publish_ns: int
    sequence: int
    data: bytes


class Storage(Protocol):
    """
    An open storage file of any kind; times in nanoseconds.

    What is damaged is passed over, and told by ``problems`` once reading or ``check`` met it.
    """

    channels: Mapping[int, Channel]
    # messages by channel, as the file announces them, or as they were found
    counts: Mapping[int, int]
    # what is odd, but loses nothing, a line each
    notes: Sequence[str]
    # whether its writer closed it
    complete: bool
    # whether a part can be read without going through, or copying, all of it
    indexed: bool = True
    # what could not be read so far, and why, a line each; asked while a thread reads, too
    problems: Sequence[str]

    def check(self) -> None:
        """Look for damage that reading does not meet; there is none by default."""

    @property
    def span(self) -> tuple[int, int] | None:
        """Times of the first and last message; None where there is none."""

    def spans(self) -> Iterable[tuple[int, int]]:
        """Return times of first and last messages of parts, in any order; by default of all."""
        return [self.span] if self.span else []

    def records(self, channels: Collection[int], start: float, end: float) -> Iterator[Record]:
        """Yield the records of these channels with start <= time < end, by time."""

    def attachments(self) -> Iterator[Attachment]:
        """Yield the attachments that are whole, in the order of the file; none by default."""
        return iter(())

    def metadata_records(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield name and content of the metadata records that are whole; none by default."""
        return iter(())


class SortedRecords(NamedTuple):
    """
    Records in the order of time, `first_ns` the time of the first, ns.

    Of equal times, those of the lower `rank` come first, of which no two have the same.
    """

    first_ns: float
    rank: int
    records: Iterator[Record]


def merge(parts: Iterable[SortedRecords]) -> Iterator[Record]:
    """
    Merge by time.

    A part is begun when its time has come, so that no more is in memory than overlaps.

    :param parts: in the order of their first times and ranks; taken one by one, too.
    """
    waiting = iter(parts)
    following = next(waiting, None)
    begun: list[tuple[int, int, Record, Iterator[Record]]] = []
    while following or begun:
        if begun and not (following and following[:2] < begun[0][:2]):
            _, rank, record, records = heapq.heappop(begun)
            yield record
        else:
            _, rank, records = following
            following = next(waiting, None)
        if (record := next(records, None)) is not None:
            heapq.heappush(begun, (record.time_ns, rank, record, records))
