# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tell which topics of a bag are cameras, and why the other topics with images are not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from ubcn_ros.bags.errors import BagError, MalformedMessage
from ubcn_ros.bags.messages import CAMERA_INFO, COMPRESSED, IMAGE, decode, deserialize
from ubcn_ros.bags.storage.reader import BagReader
from ubcn_ros.bags.storage.records import Channel, Record
from ubcn_ros.node import topics as node_topics
from ubcn_ros.node.processing import focal_length
from ubcn_ros.node.topics import base_topic

_PEEK = 20  # first messages of a topic that are looked at
_DEPTH = ('16UC1', '32FC1')
_DEPTH_WORDS = {'depth', 'disparity'}  # 16 bits of an unknown kind are depth where a name says so
_MASK_WORDS = {'mask', 'masks', 'label', 'labels', 'segmentation', 'semantic', 'instance'}
# of foxglove_msgs, ffmpeg_image_transport_msgs, theora_image_transport, stereo_msgs and others
_LIKE_IMAGES = re.compile(r'.*/(\w*Video\w*|FFMPEGPacket|RawImage|CompressedImage|DisparityImage)|'
                          r'theora_image_transport/.*')


@dataclass(frozen=True)
class BagCamera:
    """
    A camera of a bag: a topic of images, `type` as in 'sensor_msgs/msg/Image'.

    `messages` is how many the bag announces, `camera_info` the topic of its calibration, None
    where there is none. `focal_length` is the calibration's, as a share of the image's short side,
    None where it does not say. `twin` is the topic of its other transport, which is not processed.
    """

    topic: str
    type: str
    messages: int
    camera_info: str | None = None
    focal_length: float | None = None
    twin: str | None = None


@dataclass(frozen=True)
class Skipped:
    """
    A topic with images, or like them, that is not a camera, or a calibration that is left out.

    `broken` is whether it should have been one, but none of its messages is whole.
    """

    topic: str
    type: str
    reason: str
    broken: bool = False

    @property
    def text(self) -> str:
        """Say that it is not processed, and why."""
        return f'{self.topic} ({self.type}) is not processed: {self.reason}'


def find_cameras(reader: BagReader, chosen: Sequence[str] = (),
                 topics: Collection[str] | None = None) -> tuple[list[BagCamera], list[Skipped]]:
    """
    Find the cameras of an open bag.

    Cameras are topics of Image and CompressedImage that decode. Depth, masks and the outputs of
    an earlier run are not, nor is a CompressedImage of which the Image is a camera.

    :param chosen: names, with or without the first '/', of those to take; none takes all.
    :param topics: those to look at; None for all.
    :return: cameras and the others, each in the order of the bag, Image before CompressedImage;
        cameras that were chosen in the order of choice.
    :raises BagError: a chosen topic is not there, or has no image that can be read.
    """
    found = _Topics(reader, topics)
    if chosen:
        names = list(dict.fromkeys(found.named(name) for name in chosen))
        cameras = [replace(camera, twin=found.twin(camera, names))
                   for camera in map(found.camera, names)]
        return cameras, [Skipped(name, kind, _of_this(camera)) for camera in cameras
                         for name, kind in found.kinds()
                         if name == camera.topic and kind != camera.type]
    cameras, skipped = [], []
    for name, kind in sorted(found.kinds(), key=lambda item: item[1] != IMAGE):
        reason, _, broken = found.why_not(name, kind)
        twin = next((camera for camera in cameras
                     if base_topic(camera.topic) == base_topic(name)), None)
        if twin is not None and not reason:
            reason = (_of_this(twin) if twin.topic == name else
                      f'the other transport of {twin.topic}, which is processed')
            cameras[cameras.index(twin)] = replace(twin, twin=name)
        if reason:
            skipped.append(Skipped(name, kind, reason, broken))
        else:
            cameras.append(found.camera(name, kind))
    return cameras, skipped


def no_camera(reader: BagReader, topics: Iterable[str], skipped: Sequence[Skipped]) -> BagError:
    """
    Say why a bag has no camera.

    :param topics: that were looked at.
    :param skipped: of these, as `find_cameras` returns them.
    """
    told = '; '.join(f'{other.topic} ({other.type}): {other.reason}' for other in skipped)
    listed = ', '.join(dict.fromkeys(topics))
    if not listed and reader.connections:
        return BagError(f'{reader.path} has no camera left: --topics and --exclude leave out all '
                        'of its topics')
    return BagError('; '.join([
        f'{reader.path} has no camera: its topics are {listed or "(none)"}',
        f'of these are not taken: {told}; one with an image that can be read is taken all the '
        'same when --topic names it' if told else 'give a bag with images', *reader.damage]))


class _Look(NamedTuple):
    """
    What looking for an image has found.

    :param reason: why the first message is none, '' where one is.
    :param encoding: of one.
    :param broken: whether any is broken, not just of an encoding or format that is not read.
    """

    reason: str
    encoding: str = ''
    broken: bool = False


class _Topics:
    """The topics of images of a bag."""

    def __init__(self, reader: BagReader, topics: Collection[str] | None):
        self._reader = reader
        self._channels: dict[str, list[Channel]] = {}
        for channel in reader.channels:
            if topics is None or channel.topic in topics:
                self._channels.setdefault(channel.topic, []).append(channel)
        self._counts: dict[tuple[str, str], int] = {}
        for topic, kind, count, _ in reader.connections:
            self._counts[topic, kind] = self._counts.get((topic, kind), 0) + count

    def kinds(self) -> list[tuple[str, str]]:
        """List topics and types of images, and of what is like them."""
        return list(dict.fromkeys(
            (topic, channel.msgtype) for topic, channels in self._channels.items()
            for channel in channels if _LIKE_IMAGES.fullmatch(channel.msgtype)
            or channel.msgtype in (IMAGE, COMPRESSED)))

    def named(self, name: str) -> str:
        """Find the topic that a user names."""
        for topic in (name, '/' + name.lstrip('/')):
            if topic in self._channels:
                return topic
        if any(channel.topic in (name, '/' + name.lstrip('/'))
               for channel in self._reader.channels):
            raise BagError(f'the topic {name!r} is left out by --topics or --exclude: let these '
                           'have it, or choose another with --topic')
        raise self._error(f'the bag has no topic {name!r}')

    def camera(self, topic: str, kind: str | None = None) -> BagCamera:
        """
        Return a topic as a camera, whatever its name says.

        :param kind: the type of its images; None finds the first that can be read.
        """
        there = {c.msgtype for c in self._channels[topic]}
        kinds = [known for known in (IMAGE, COMPRESSED) if known in there]
        if not kinds:
            raise self._error(f'topic {topic} is of type {", ".join(there) or "(none)"}, not '
                              f'{IMAGE} or {COMPRESSED}')
        if kind is None:
            reasons = {known: self._unreadable(topic, known, whole=True).reason for known in kinds}
            kind = next((known for known in kinds if not reasons[known]), None)
            if kind is None:
                raise self._error(f'topic {topic} has no image that can be read: '
                                  f'{"; ".join(reasons.values())}')
        info = node_topics.camera_info_topic(topic)
        infos = self._of(info, CAMERA_INFO)
        if not infos or not self._counts.get((info, CAMERA_INFO)):
            return BagCamera(topic, kind, self._counts[topic, kind])
        return BagCamera(topic, kind, self._counts[topic, kind], info,
                         self._focal_length(infos))

    def twin(self, camera: BagCamera, chosen: Collection[str]) -> str | None:
        """Find the other transport of a chosen camera, unless that is chosen, too."""
        return next((name for name, kind in self.kinds()
                     if base_topic(name) == base_topic(camera.topic) and name not in chosen
                     and not self.why_not(name, kind).reason), None)

    def why_not(self, topic: str, kind: str) -> _Look:
        """Say why a topic is not a camera, without a reason where it is one."""
        if kind not in (IMAGE, COMPRESSED):
            return _Look('not a type that is decoded here')
        words = {word for word in re.split('[/_]', base_topic(topic).lower()) if word}
        if node_topics.is_output(topic):
            return _Look('output of an earlier run, by its name')
        if found := sorted(words & _MASK_WORDS):
            return _Look(f"masks, by '{found[0]}' in its name")
        found = self._unreadable(topic, kind)
        if found.encoding in _DEPTH or (found.encoding == 'mono16' and words & _DEPTH_WORDS):
            return _Look(f'depth, as its encoding is {found.encoding}')
        return found

    def _of(self, topic: str, kind: str) -> list[Channel]:
        return [channel for channel in self._channels.get(topic, ())
                if channel.msgtype == kind and channel.serialization == 'cdr']

    def _unreadable(self, topic: str, kind: str, whole: bool = False) -> _Look:
        """
        Say why none of the messages is an image.

        All are looked at only where broken ones are all that is found before, or with `whole`.
        """
        if not self._counts.get((topic, kind)):
            return _Look('it has no messages')
        channels = self._of(topic, kind)
        if not channels:
            encodings = {channel.serialization for channel in self._channels[topic]}
            return _Look(f'its messages are encoded as {", ".join(sorted(encodings))}, not as cdr')
        found = self._look(islice(self._reader.records(channels), _PEEK), kind)
        # one may be among those not looked at
        if found.reason and (whole or (found.broken and found.encoding not in _DEPTH)):
            found = self._look(self._reader.records(channels), kind)
        return found

    def _look(self, records: Iterable[Record], kind: str) -> _Look:
        """Look for an image."""
        reason, encoding, broken = '', '', False
        for record in records:
            try:
                message = deserialize(record.data, kind)
                encoding = encoding or _encoding(message)
                decode(message)
            except MalformedMessage as error:
                reason = reason or str(error)
                broken |= getattr(error.__cause__, 'kind', '') not in ('encoding', 'format')
            else:
                return _Look('', encoding)
        return _Look(reason or 'none of its messages can be read', encoding, broken)

    def _focal_length(self, infos: list[Channel]) -> float | None:
        """Return the first that the camera infos say, as the node would take it; else None."""
        for record in islice(self._reader.records(infos), _PEEK):
            with suppress(MalformedMessage):
                if length := focal_length(deserialize(record.data, CAMERA_INFO)):
                    return length
        return None

    def _error(self, text: str) -> BagError:
        listing = ', '.join(f'{topic} ({channels[0].msgtype or "no type"})'
                            for topic, channels in self._channels.items())
        return BagError('; '.join([f'{text}; the topics are {listing or "(none)"}',
                                   *self._reader.damage]))


def _of_this(camera: BagCamera) -> str:
    return f'of this topic the images of type {camera.type} are processed'


def _encoding(message: Any) -> str:
    """Return the encoding of an image, also of the one that was compressed."""
    return message.encoding if hasattr(message, 'encoding') else message.format.split(';')[0]
