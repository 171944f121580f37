# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Render rain on the cameras of a bag, and copy all else."""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ubcn_ros.bags.cameras import Skipped, find_cameras, no_camera
from ubcn_ros.bags.errors import MalformedMessage, in_seconds
from ubcn_ros.bags.headers import header_stamp_ns
from ubcn_ros.bags.messages import COMPRESSED, IMAGE, TYPES, decode_record
from ubcn_ros.bags.process.checks import check_output
from ubcn_ros.bags.process.jobs import check_apart, check_early
from ubcn_ros.bags.process.sidecar import MAX_REPORTED
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.storage.reader import BagReader, open_bag
from ubcn_ros.bags.storage.records import Channel, Record
from ubcn_ros.images.rewriting import compressed_fields, image_fields
from ubcn_ros.node.topics import base_topic
from ubcn_ros.stopping import in_whole_steps

_MOST_THREADS = 16
_WAITING_BYTES = 256 << 20  # of records that wait for an image before them
_STRAY_NS = 60_000_000_000  # a stamp so far outside the recording is of another clock

Rain = Callable[[np.ndarray, float], np.ndarray]
"""Renders rain on an image, (H, W, 3) uint8 RGB, of a time in seconds."""


@dataclass
class Rained:
    """
    What `rain_bag` did.

    ``images`` is how many of each topic have rain; ``converted`` are topics whose images had to
    become rgb8, with the encoding that they had; ``skipped`` are topics with images that are not
    cameras; ``malformed`` is how many images could not be decoded and were copied as they are;
    ``errors`` has a line for each of them (the first hundred), and for what could not be read;
    ``notes`` are those of the bag that was read.
    """

    images: dict[str, int] = field(default_factory=dict)
    converted: dict[str, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    malformed: int = 0
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def rain_bag(source: Path | str, out: Path | str, make_rain: Callable[[str, float], Rain],
             cameras: Sequence[str] = (), progress: Callable[[int, int], Any] | None = None
             ) -> Rained:
    """
    Render rain on the images of all cameras of a bag into a new one, in mcap.

    Images keep encoding, compression, header and times; what is not of a camera (masks, depth,
    other topics, attachments, metadata) is copied as it is stored. An image of two transports gets
    the same rain. An image's time is its stamp, since the beginning of the recording; the time of
    recording, where the stamp is of another clock. The bag is whole also where a signal ends it;
    at the end it is opened again, and its counts compared with what was written.

    :param make_rain: given the name of a camera and the bag's duration in seconds, makes its rain.
    :param cameras: topics, of either transport; none takes all that `find_cameras` finds.
    :param progress: called with the number of messages written and of all.
    :raises BagError: a bag cannot be read or written, or holds no camera.
    """
    source, out = Path(source), Path(out)
    check_apart(source, out)
    with open_bag(source) as reader:
        rain = _BagRain(reader, make_rain, cameras)
        check_early(reader, {channel.topic for channel in reader.channels})
        total = sum(connection.msgcount for connection in reader.connections)
        found: Counter[tuple[str, str, str]] = Counter()
        with McapBagWriter(out, custom_data=reader.custom_data) as writer:
            for channel in reader.channels:
                writer.add_channel(channel)
            for attachment in reader.attachments():
                writer.attach(attachment)
            for name, metadata in reader.metadata_records():
                writer.add_metadata(name, metadata)
            # closed here, or its threads go on for as long as a traceback holds it
            with closing(in_whole_steps(_in_order(
                    reader.records(), rain.channels, rain.render,
                    min(os.cpu_count() or 1, _MOST_THREADS)))) as items:
                for item in items:
                    writer.write(item.record)
                    rain.count(item)
                    found[item.record.channel.kind] += 1
                    if progress is not None:
                        progress(writer.messages, total)
        written: Counter[str] = Counter()
        for (topic, *_), number in found.items():
            written[topic] += number
        check_output(out, written)
        return rain.finish(found)


class _Item(NamedTuple):
    """A record to write; of an image, whether it has rain, the encoding it had, or an error."""

    record: Record
    rained: bool = False
    converted: str = ''
    error: str = ''


class _BagRain:
    """The rain of the cameras of an open bag."""

    def __init__(self, reader: BagReader, make_rain: Callable[[str, float], Rain],
                 cameras: Sequence[str]):
        found, skipped = find_cameras(reader, cameras)
        topics = {topic for camera in found for topic in (camera.topic, camera.twin) if topic}
        self._reader = reader
        if not found:
            raise no_camera(reader, (channel.topic for channel in reader.channels), skipped)
        self.done = Rained(dict.fromkeys(sorted(topics), 0),
                           skipped=[topic for topic in skipped if topic.topic not in topics])
        self.channels = {channel for channel in reader.channels if channel.topic in topics
                         and channel.msgtype in (IMAGE, COMPRESSED)
                         and channel.serialization == 'cdr'}
        duration_s = (reader.end_ns - reader.start_ns) / 1e9 if self.channels else 0.0
        self._rain = {base: make_rain(base, duration_s)
                      for base in sorted({base_topic(topic) for topic in topics})}

    def render(self, record: Record) -> _Item:
        """Render rain on an image's record; it stays as it is where it is not an image."""
        topic, msgtype = record.channel.topic, record.channel.msgtype
        try:
            message, image = decode_record(record)
        except MalformedMessage as error:
            return _Item(record, error=f'{topic}, recorded at {in_seconds(record.time_ns)}: '
                                       f'{error}; copied as it is')
        rainy = self._rain[base_topic(topic)](image, self._time_s(record))
        if np.array_equal(rainy, image):  # the bytes stay, too
            return _Item(record, True)
        fields = (image_fields if msgtype == IMAGE else compressed_fields)(message, rainy)
        other = msgtype == IMAGE and fields['encoding'] != message.encoding
        data = bytes(TYPES.serialize_cdr(replace(message, **fields), msgtype))
        return _Item(record._replace(data=data), True, message.encoding if other else '')

    def count(self, item: _Item) -> None:
        """Count what was written."""
        topic = item.record.channel.topic
        if item.rained:
            self.done.images[topic] += 1
        if item.converted:
            self.done.converted[topic] = item.converted
        if item.error:
            self.done.malformed += 1
            if self.done.malformed <= MAX_REPORTED:
                self.done.errors.append(item.error)

    def finish(self, found: Counter[tuple[str, str, str]]) -> Rained:
        """Return what was done, given how many messages there were of each topic and type."""
        done, reader = self.done, self._reader
        if (left := done.malformed - MAX_REPORTED) > 0:
            done.errors.append(f'and {left} more malformed images')
        done.errors += [f'{other.topic} was copied: {other.reason}' for other in done.skipped
                        if other.broken]
        done.errors += reader.damage
        for connection in reader.connections:
            done.errors += reader.count_problems(connection, found[connection.kind])
        done.notes = reader.notes
        return done

    def _time_s(self, record: Record) -> float:
        start, end = self._reader.start_ns, self._reader.end_ns
        stamp = header_stamp_ns(record.data)
        if not start - _STRAY_NS <= stamp <= end + _STRAY_NS:
            stamp = record.time_ns
        return (stamp - start) / 1e9


def _in_order(records: Iterable[Record], chosen: set[Channel], work: Callable[[Record], _Item],
              threads: int) -> Generator[_Item, None, None]:
    """Yield records in their order, the chosen ones worked on by threads."""
    waiting: deque[tuple[Future | Record, int]] = deque()
    images = size = 0
    pool = ThreadPoolExecutor(threads, 'rain')
    try:
        for record in itertools.chain(records, [None]):
            if record is not None:
                is_image = record.channel in chosen
                waiting.append((pool.submit(work, record) if is_image else record,
                                len(record.data)))
                images, size = images + is_image, size + len(record.data)
            while waiting and (record is None or images > 2 * threads or size > _WAITING_BYTES
                               or not isinstance(waiting[0][0], Future)):
                first, length = waiting.popleft()
                is_image, size = isinstance(first, Future), size - length
                images -= is_image
                yield first.result() if is_image else _Item(first)
    finally:
        pool.shutdown(cancel_futures=True)
