# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read a range of a bag, and tell of each record what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ubcn_ros.bags.cameras import BagCamera
from ubcn_ros.bags.errors import MalformedMessage
from ubcn_ros.bags.headers import header_stamp_ns
from ubcn_ros.bags.messages import CAMERA_INFO, deserialize
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.storage.offered_qos import latched_before
from ubcn_ros.bags.storage.reader import BagReader
from ubcn_ros.bags.storage.records import Channel, Record

_KEPT_NS = 3_000_000_000  # an image is recorded later than its CameraInfo, but not by so much


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
class Item:
    """
    A record and what comes of it.

    `position` is the place after the record, `copied` whether its topic is copied. `camera` is set
    where the record is an image to process, `info` is then the camera's CameraInfo, if it has one;
    `error` says why the image cannot be decoded, or the CameraInfo of a camera be read. The others
    are the pipeline's: `decoded` and `outputs` (records in the end) are futures, `pixels` and
    `frame` are what went into the engine and came out.
    """

    record: Record
    position: Position
    copied: bool
    camera: BagCamera | None = None
    info: Any = None
    error: str | None = None
    decoded: Any = None
    outputs: Any = None
    pixels: np.ndarray | None = None
    frame: Any = None


class JobReader:
    """
    The items of a job, in the order of recording.

    The CameraInfo of an image is that of its stamp, if it was recorded in the three seconds before
    it; else the last one of its camera that was recorded before it; before the first, that. So any
    part of a bag can be worked out by itself.

    :param reader: of the job's bag.
    :param position: to go on from.
    """

    def __init__(self, reader: BagReader, job: Job, position: Position):
        self._reader, self._job, self._position = reader, job, position
        self._cameras = {(camera.topic, camera.type, 'cdr'): camera for camera in job.cameras}
        self._infos = {(camera.camera_info, CAMERA_INFO, 'cdr'): _Infos() for camera in job.cameras
                       if camera.camera_info}
        self._channels = [channel for channel in reader.channels if channel.topic in job.read]
        self._copied = job.copied
        self._numbers = {camera.topic: 0 for camera in job.cameras} | dict(position.images)

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; in between, the reader may be used by this thread alone."""
        self._recall_infos(self._position.time_ns)
        time, taken = None, 0
        for record in self._reader.records(self._channels, self._position.time_ns,
                                           self._job.end_ns):
            taken = taken + 1 if record.time_ns == time else 1
            time = record.time_ns
            if (time, taken) > self._position[:2]:
                yield self._item(taken, record)
            elif record.channel.kind in self._infos:
                self._take_info(record)

    def _item(self, taken: int, record: Record) -> Item:
        kind = record.channel.kind
        camera = self._cameras.get(kind)
        if camera is not None:
            number = self._numbers[camera.topic]
            self._numbers[camera.topic] += 1
            if number % self._job.options.every:
                camera = None
        infos = camera and self._infos.get((camera.camera_info, CAMERA_INFO, 'cdr'))
        info = infos and infos.of(record)
        error = self._take_info(record) if kind in self._infos else None
        return Item(record, Position(record.time_ns, taken, dict(self._numbers)),
                    record.channel.topic in self._copied, camera, info, error)

    def _take_info(self, record: Record) -> str | None:
        """Take the newest CameraInfo; return why it is none, else None."""
        try:
            self._infos[record.channel.kind].take(record)
        except MalformedMessage as error:
            return str(error)
        return None

    def _recall_infos(self, before: int) -> None:
        """Find the whole CameraInfos that count at a time, else the first of the bag."""
        start, span = before, _KEPT_NS
        while (channels := self._without_info()) and start > self._reader.start_ns:
            start, span = before - span, 4 * span
            for record in self._reader.records(channels, start, before):
                self._take_info(record)
        for record in self._reader.records(channels, before) if channels else ():
            if self._infos[record.channel.kind].newest is None:
                self._take_info(record)
            if all(infos.newest is not None for infos in self._infos.values()):
                break

    def _without_info(self) -> list[Channel]:
        """List the channels of the CameraInfos that are still to be found."""
        return [channel for channel in self._channels
                if (infos := self._infos.get(channel.kind)) and infos.newest is None]


def latched_before_job(reader: BagReader, job: Job) -> list[Record]:
    """
    List the latched records from before a job that are copied, as those of /tf_static.

    Not of cameras, as their images would have no outputs.
    """
    copied = job.copied - {camera.topic for camera in job.cameras}
    return latched_before(reader, [channel for channel in reader.channels
                                   if channel.topic in copied], job.start_ns)


class _Infos:
    """The CameraInfos of a camera: the newest, and by stamp those of the last seconds."""

    def __init__(self) -> None:
        self.newest: Any = None
        self._recent: dict[int, tuple[int, Any]] = {}  # by stamp: when it was recorded, and it

    def take(self, record: Record) -> None:
        """
        Take one that was recorded after the others.

        :raises MalformedMessage: it is none.
        """
        self.newest = deserialize(record.data, CAMERA_INFO)
        self._recent = {stamp: taken for stamp, taken in self._recent.items()
                        if taken[0] >= record.time_ns - _KEPT_NS}
        self._recent[header_stamp_ns(record.data)] = record.time_ns, self.newest

    def of(self, image: Record) -> Any:
        """Return that of an image's stamp, else the newest; None before the first."""
        try:
            recorded, info = self._recent[header_stamp_ns(image.data)]
        except (KeyError, ValueError):  # there is none, or the image is malformed
            return self.newest
        return info if recorded >= image.time_ns - _KEPT_NS else self.newest
