# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Say what a bag holds, by reading all of it: topics, rates, sizes, cameras, gaps, damage."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mcap.records import Chunk, Message
from mcap.stream_reader import StreamReader
from zstandard import ZstdDecompressor, ZstdError

from ubcn_ros.bags.cameras import find_cameras
from ubcn_ros.bags.errors import MalformedMessage
from ubcn_ros.bags.messages import COMPRESSED, IMAGE, ZSTD_MAGIC, decode_record
from ubcn_ros.bags.storage.offered_qos import recorded_offers, strictest
from ubcn_ros.bags.storage.opening import storage_kind
from ubcn_ros.bags.storage.reader import BagReader, open_bag
from ubcn_ros.bags.storage.records import Channel, Record, by_kind

GAP = 3.0
"""A gap of a regular topic is longer than this many of its median intervals."""
_REGULAR = 0.9  # share of a regular topic's intervals that are none
_LATEST = 2**63 - 1  # ns that an array of times holds; mcap's may span twice as much
_FEWEST = 10  # messages of a topic that gaps are looked for in


@dataclass(frozen=True)
class FileInfo:
    """A storage file; `compression` is that of its blocks, 'zstd file' where it is one block."""

    name: str
    bytes: int
    storage: str
    compression: str


@dataclass(frozen=True)
class Gap:
    """A time without messages, seconds since the beginning of the bag and how long."""

    at_s: float
    seconds: float


@dataclass
class TopicInfo:
    """
    A topic of one type and encoding.

    `rate_hz` is that of the messages over their time, None where they span none; `gaps` is None
    for topics that are not regular, as those of events. Of images, `encoding` (of CompressedImage
    its format), `width` and `height` are those of the first that decodes.
    """

    topic: str
    type: str
    serialization: str
    messages: int
    bytes: int
    rate_hz: float | None
    gaps: list[Gap] | None
    qos: dict[str, str] | None
    encoding: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass
class BagInfo:
    """What `bag_info` finds; times in nanoseconds, `damage` a line for each."""

    path: str
    files: list[FileInfo]
    start_ns: int | None
    end_ns: int | None
    messages: int
    topics: list[TopicInfo]
    cameras: list[dict[str, Any]]
    not_cameras: list[dict[str, str]]
    attachments: list[str] = field(default_factory=list)
    metadata: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return 0.0 if self.start_ns is None else (self.end_ns - self.start_ns) / 1e9

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is written to JSON."""
        return {**asdict(self), 'duration_s': self.seconds}


def bag_info(path: Path | str, progress: Callable[[int, int], Any] | None = None) -> BagInfo:
    """
    Read a bag, and say what it holds.

    :param progress: called with the number of messages read and of all.
    :raises BagError: nothing of it can be read.
    """
    with open_bag(path) as reader:
        begin = reader.start_ns or 0
        topics = {connection.kind: _Topic() for connection in reader.connections}
        channels = by_kind(reader.channels)
        total, done = sum(c.msgcount for c in reader.connections), 0
        for done, record in enumerate(reader.records(), 1):
            topics[record.channel.kind].add(record, record.time_ns - begin)
            if progress is not None:
                progress(done, max(total, done))
        cameras, others = find_cameras(reader)
        miscounted = [line for connection in reader.connections for line in reader.count_problems(
            connection, len(topics[connection.kind].times))]
        return BagInfo(
            str(path), [_file(file) for file in reader.files], reader.start_ns, reader.end_ns,
            done, [topic.info(*key, channels.get(key, []), reader)
                   for key, topic in sorted(topics.items())],
            [asdict(camera) for camera in cameras], [asdict(other) for other in others],
            [item.name for item in reader.attachments()],
            [name for name, _ in reader.metadata_records()],
            reader.notes, [*reader.damage, *miscounted, *(
                f'{other.topic} ({other.type}): {other.reason}' for other in others
                if other.broken)])


class _Topic:
    """What is gathered of a topic while its messages come."""

    def __init__(self) -> None:
        self.times = array('q')  # since the beginning: of a bag, they may be beyond int64
        self._bytes = 0
        self._image: tuple[str, int, int] | None = None

    def add(self, record: Record, time_ns: int) -> None:
        self.times.append(min(time_ns, _LATEST))
        self._bytes += len(record.data)
        if self._image is None and record.channel.msgtype in (IMAGE, COMPRESSED):
            try:
                message, image = decode_record(record)
            except MalformedMessage:
                return
            self._image = getattr(message, 'encoding', getattr(message, 'format', '')), \
                image.shape[1], image.shape[0]

    def info(self, topic: str, msgtype: str, serialization: str, channels: list[Channel],
             reader: BagReader) -> TopicInfo:
        times = np.frombuffer(self.times, np.int64) if self.times else np.zeros(0, np.int64)
        span = int(times[-1] - times[0]) / 1e9 if len(times) > 1 else 0.0
        offer = strictest(recorded_offers(channels))
        return TopicInfo(
            topic, msgtype, serialization, len(times), self._bytes,
            (len(times) - 1) / span if span else None,
            find_gaps(times, min(_LATEST, (reader.end_ns or 0) - (reader.start_ns or 0))),
            None if offer is None else {'reliability': offer.reliability.name.lower(),
                                        'durability': offer.durability.name.lower()},
            *(self._image or ()))


def find_gaps(times_ns: np.ndarray, end_ns: int) -> list[Gap] | None:
    """
    Find times without messages, of a topic whose messages come at regular intervals.

    A gap is a time of more than three median intervals, also at the beginning and the end of the
    bag; where more than a tenth of the intervals are, the topic is not regular.

    :param times_ns: of the messages since the beginning of the bag, (N,) int64, ascending.
    :param end_ns: of the bag, likewise.
    :return: None for a topic that is not regular, or has too few messages to tell.
    """
    if len(times_ns) < _FEWEST:
        return None
    longest = GAP * np.median(np.diff(times_ns))
    if longest <= 0 or np.mean(np.diff(times_ns) > longest) > 1 - _REGULAR:
        return None
    edges = np.concatenate([[0], times_ns, [end_ns]]).astype(np.int64)
    return [Gap(int(edges[place]) / 1e9, int(edges[place + 1] - edges[place]) / 1e9)
            for place in np.flatnonzero(np.diff(edges) > longest)]


def _file(path: Path) -> FileInfo:
    """Describe a storage file; what cannot be read is unknown, and told as damage of the bag."""
    magic, compression, size = b'', 'unknown', 0
    with suppress(OSError, ZstdError):
        size = path.stat().st_size
        with path.open('rb') as file:
            magic = file.read(16)
            file.seek(0)
            if magic.startswith(ZSTD_MAGIC):
                compression = 'zstd file'
                magic = ZstdDecompressor().stream_reader(file).read(16)
            else:
                compression = _compression(file) if storage_kind(magic) == 'mcap' else 'none'
    return FileInfo(path.name, size, storage_kind(magic) or 'unknown', compression)


def _compression(file: Any) -> str:
    """Return how the first chunk of an mcap file is compressed."""
    try:
        for record in StreamReader(file, emit_chunks=True).records:
            if isinstance(record, Chunk):
                return record.compression or 'none'
            if isinstance(record, Message):
                return 'none'
    except Exception:  # damaged files end in errors of many kinds
        return 'unknown'
    return 'none'
