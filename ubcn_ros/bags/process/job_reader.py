# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read a range of a bag, and tell of each record what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ubcn_ros.bags.errors import MalformedMessage
from ubcn_ros.bags.headers import header_bytes, header_stamp_ns
from ubcn_ros.bags.messages import CAMERA_INFO, decode_record, deserialize, stamp_ns
from ubcn_ros.bags.process.cameras import BagCamera
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.process.pairing import LOOKBACK_NS, Pairing
from ubcn_ros.bags.storage.reader import BagReader
from ubcn_ros.bags.storage.records import Record

_SEARCH_NS = 10_000_000_000


class Position(NamedTuple):
    """
    A place between two records of a range.

    Passed is what was recorded before `time_ns`, and of that very time the first `taken` records;
    `images` is how many images of each camera, by topic, are passed.
    """

    time_ns: int
    taken: int
    images: Mapping[str, int]


@dataclass
class CameraImage:
    """An image that is processed: its camera, and its header as a serialized message."""

    camera: BagCamera
    header: bytes
    whole: bool = False
    """Whether it could be decoded, known once it was."""


@dataclass
class Item:
    """
    A record and what comes of it.

    `position` is the place after the record, `copied` whether its topic is copied. `image` is set
    where the record is an image to process, `info` is the CameraInfo that goes with it; `late` are
    earlier images that this record is the CameraInfo of; `error` says why the image cannot be
    decoded, or the CameraInfo of a camera be read. The others are the pipeline's: `decoded` and
    `outputs` (records in the end) are futures, `pixels` and `frame` are what went into the engine
    and came out.
    """

    record: Record
    position: Position
    copied: bool
    image: CameraImage | None = None
    info: bytes | None = None
    late: list[CameraImage] = field(default_factory=list)
    error: str | None = None
    decoded: Any = None
    outputs: Any = None
    pixels: np.ndarray | None = None
    frame: Any = None


class JobReader:
    """
    The items of a job, in the order of recording.

    :param reader: of the job's bag.
    :param position: to go on from.
    """

    def __init__(self, reader: BagReader, job: Job, position: Position):
        self._reader, self._job, self._position = reader, job, position
        self._cameras = {(camera.topic, camera.type, 'cdr'): camera for camera in job.cameras}
        self._pairings = {camera: Pairing(camera.paired) for camera in job.cameras}
        self._infos = {(camera.camera_info, CAMERA_INFO, 'cdr') for camera in job.cameras}
        self._channels = [channel for channel in reader.channels if channel.topic in job.read]
        self._copied = job.copied
        self._numbers = {camera.topic: 0 for camera in job.cameras}

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; in between, the reader may be used by this thread alone."""
        start = self._position.time_ns - LOOKBACK_NS
        self._recall_infos(start)
        self._set_numbers(start)
        for taken, record in self._placed(start, self._job.end_ns):
            if (record.time_ns, taken) <= self._position[:2]:
                self._look_back(taken, record)
            else:
                yield self._item(taken, record)

    def _placed(self, start: int, end: int) -> Iterator[tuple[int, Record]]:
        """Yield the place of each record, from 1, among those of its time, and the record."""
        time, taken = None, 0
        for record in self._reader.records(self._channels, start, end):
            taken = taken + 1 if record.time_ns == time else 1
            time = record.time_ns
            yield taken, record

    def _item(self, taken: int, record: Record) -> Item:
        image, info, late, error = None, None, [], None
        camera = self._cameras.get(record.channel.kind)
        if camera is not None:
            number = self._numbers[camera.topic]
            self._numbers[camera.topic] += 1
            if number % self._job.options.every == 0:
                image, info = self._pair_image(camera, record)
        elif record.channel.kind in self._infos:
            try:
                late = self._pair_info(record)
            except MalformedMessage as malformed:
                error = str(malformed)
        return Item(record, Position(record.time_ns, taken, dict(self._numbers)),
                    record.channel.topic in self._copied, image, info, late, error)

    def _pair_image(self, camera: BagCamera, record: Record) -> tuple[CameraImage, bytes | None]:
        try:
            image = CameraImage(camera, bytes(record.data[:4]) + header_bytes(record.data))
            stamp = header_stamp_ns(record.data)
        except ValueError:  # decoding it says so, too
            return CameraImage(camera, b''), None
        if camera.camera_info is None:
            return image, None
        return image, self._pairings[camera].image(stamp, record.time_ns, image)

    def _pair_info(self, record: Record) -> list[CameraImage]:
        stamp = stamp_ns(deserialize(record.data, CAMERA_INFO).header)  # all of it has to be whole
        return [image for camera, pairing in self._pairings.items()
                if camera.camera_info == record.channel.topic
                for image in pairing.info(stamp, record.time_ns, bytes(record.data))]

    def _look_back(self, taken: int, record: Record) -> None:
        """Take note of what was recorded before the position, for the pairs that it makes."""
        if record.time_ns < self._job.begin_ns:
            if record.channel.kind in self._infos:
                with suppress(MalformedMessage):
                    self._pair_info(record)
            return
        item = self._item(taken, record)
        if item.image is not None and item.info is None and item.image.camera.camera_info:
            with suppress(MalformedMessage):
                decode_record(record)
                item.image.whole = True

    def _set_numbers(self, start: int) -> None:
        """Set the numbers of images to those at the time that is looked back to."""
        self._numbers |= self._position.images
        for taken, record in self._placed(max(start, self._job.begin_ns),
                                          self._position.time_ns + 1):
            camera = self._cameras.get(record.channel.kind)
            if camera is not None and (record.time_ns, taken) <= self._position[:2]:
                self._numbers[camera.topic] -= 1

    def _recall_infos(self, before: int) -> None:
        """Find the latest whole CameraInfo before a time, where it goes with all that follow."""
        for camera in self._job.cameras:
            if camera.camera_info is None or camera.paired:
                continue
            kind = camera.camera_info, CAMERA_INFO, 'cdr'
            channels = [channel for channel in self._channels if channel.kind == kind]
            span, found = _SEARCH_NS, False
            while not found and before > self._reader.start_ns:
                for record in self._reader.records(channels, before - span, before):
                    with suppress(MalformedMessage):
                        self._pair_info(record)
                        found = True
                if before - span <= self._reader.start_ns:
                    break
                span *= 4
