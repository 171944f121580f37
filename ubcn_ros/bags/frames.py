# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of bags: the images of a bag, and bag to bag through the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.bags.errors import BagError, MalformedMessage
from ubcn_ros.bags.messages import (
    CAMERA_INFO,
    IMAGE,
    decode,
    make_image,
    stamp_ns,
)
from ubcn_ros.bags.reader import Connection, open_bag
from ubcn_ros.bags.topics import image_connection
from ubcn_ros.bags.writer import BagWriter
from ubcn_ros.images.messages import output_encoding
from ubcn_ros.images.overlay import overlay


@dataclass(frozen=True)
class BagImage:
    """
    An image of a bag.

    ``header`` is the message's (``stamp.sec``, ``stamp.nanosec``, ``frame_id``); ``recorded_ns``
    the time it was recorded; ``image`` (H, W, 3) uint8 RGB.
    """

    topic: str
    header: Any
    recorded_ns: int
    image: np.ndarray

    @property
    def stamp_ns(self) -> int:
        """The header's stamp, nanoseconds."""
        return stamp_ns(self.header)


def read_images(path: Path | str, topic: str | None = None) -> Iterator[BagImage]:
    """
    Yield the images of a bag in the order of recording.

    :param topic: the image topic; None takes the only one that there is.
    :raises BagError: from open_bag and image_connection, an image is malformed, or, after all that
        could be read, fewer were found than the bag announces.
    """
    with open_bag(path) as reader:
        connection, number = image_connection(reader, topic), 0
        for number, (_, recorded, data) in enumerate(reader.messages([connection]), 1):
            try:
                message = reader.deserialize(data, connection.msgtype)
                image = decode(message)
            except MalformedMessage as error:
                raise MalformedMessage(f'{path}, message {number} of {connection.topic}: {error}'
                                       ) from error
            yield BagImage(connection.topic, message.header, recorded, image)
        if problems := reader.problems(connection, number):
            raise BagError('; '.join(problems))


@dataclass
class Processed:
    """What `process` did: frames written, and a line for each message that was no image."""

    topic: str
    frames: int = 0
    malformed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What could not be read of the bag, a line each; also where fewer messages were found than
    it announces."""


def process(in_bag: Path | str, out_bag: Path | str, engine: Any, iterations: int = 3,
            topic: str | None = None, pictures: bool = False, storage: str = 'mcap',
            progress: Callable[[int, int], Any] | None = None) -> Processed:
    """
    Take every image of a bag through the engine into a new bag.

    Each output carries the header and the recording time of its input; the topics are the
    node's: /derained/image_raw and /labels/image_raw, and a CameraInfo beside the input as
    /derained/camera_info. A malformed message is noted and the next one taken; of a damaged bag,
    what is whole is processed. Without a frame no bag is written.

    :param engine: as Engine: called with (H, W, 3) uint8 RGB and iterations.
    :param topic: the image topic; None takes the only one that there is.
    :param pictures: write /labels/color and /overlay/image_raw too.
    :param storage: of the new bag, 'mcap' or 'sqlite3'.
    :param progress: called with the number of messages done and of all.
    :raises BagError: a bag cannot be read or written as asked.
    """
    with open_bag(in_bag) as reader:
        source = image_connection(reader, topic)
        beside = _beside(source.topic)
        info = next((c for c in reader.connections if (c.topic, c.msgtype, c.encoding)
                     == (beside, CAMERA_INFO, 'cdr')), Connection(beside, CAMERA_INFO, 0))
        result, done, copied = Processed(source.topic), 0, 0
        with BagWriter(out_bag, storage) as writer:
            for connection, recorded, data in reader.messages([source, info]):
                if connection == info:
                    copied += 1
                    writer.write('/derained/camera_info', CAMERA_INFO, data, recorded)
                    continue
                done += 1
                try:
                    message = reader.deserialize(data, connection.msgtype)
                    image = decode(message)
                except MalformedMessage as error:
                    result.malformed.append(f'message {done} of {source.topic}: {error}; left '
                                            'out')
                else:
                    frame = engine(image, iterations=iterations)
                    for name, pixels, encoding in _outputs(message, frame, engine, pictures):
                        writer.write(name, IMAGE, make_image(message.header, pixels, encoding),
                                     recorded)
                    result.frames += 1
                if progress is not None:
                    progress(done, source.msgcount)
        if not result.frames:
            writer.remove()
        result.problems = [*reader.problems(source, done), *reader.left_out(info, copied)]
    return result


def _outputs(message: Any, frame: Any, engine: Any, pictures: bool
             ) -> Iterator[tuple[str, np.ndarray, str]]:
    encoding = output_encoding(getattr(message, 'encoding', 'rgb8'))
    yield '/derained/image_raw', frame.derained, encoding
    yield '/labels/image_raw', frame.labels, 'mono8'
    if pictures:
        yield '/labels/color', engine.label_set.colorize(frame.labels), 'rgb8'
        yield ('/overlay/image_raw', overlay(frame.derained, frame.labels, engine.label_set),
               'rgb8')


def _beside(topic: str) -> str:
    """Name the camera_info topic of an image topic, as image_transport has it."""
    base = topic.removesuffix('/compressed')
    return base.rsplit('/', 1)[0] + '/camera_info'
