# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
rosbag2 files (mcap and sqlite3) without a ROS installation.

A bag from a folder of images, the images of a bag, and bag to bag: every frame through the
engine, each with its own stamp, however long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from ubcn_ros.images.files import list_images, read_image
from ubcn_ros.images.messages import (
    MalformedImage,
    compressed_to_rgb,
    output_encoding,
    to_rgb,
)
from ubcn_ros.runtime.visualize import overlay

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
"""Storage formats that can be written; both are read."""
START_NS = 1_000_000_000
"""Stamp of the first frame of a bag made from images, ns; not 0, which means 'no stamp'."""

_TYPES = get_typestore(Stores.ROS2_JAZZY)


class BagError(ValueError):
    """A bag cannot be read or written as asked; the text names what is there and the remedy."""


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


def stamp_ns(header: Any) -> int:
    """Return the stamp of a std_msgs/Header in nanoseconds."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


class BagWriter:
    """
    Writes a bag; topics are added as they come. A context manager.

    The bag is complete and readable also when it is closed by an exception or Ctrl-C.

    :param path: folder to make.
    :param storage: one of STORAGES.
    :raises BagError: the path exists, or the storage is not known.
    """

    def __init__(self, path: Path | str, storage: str = 'mcap'):
        if storage not in STORAGES:
            raise BagError(f"unknown storage '{storage}': choose one of {', '.join(STORAGES)}")
        try:
            self._writer = Writer(Path(path), version=9, storage_plugin=STORAGES[storage])
            self._writer.open()
        except (WriterError, OSError) as error:
            raise BagError(f'bag {path} cannot be written: {error}; give a path that does not '
                           'exist yet') from error
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._connections:
            self._writer.min_timestamp = 0  # else the start of an empty bag is in the year 2262
        self._writer.close()

    def write(self, topic: str, type_name: str, message: Any, recorded_ns: int) -> None:
        """
        Write one message.

        :param type_name: like 'sensor_msgs/msg/Image'.
        :param message: as rosbags has it, or serialized (CDR) bytes.
        :param recorded_ns: the time that it counts as recorded at.
        """
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, type_name,
                                                                   typestore=_TYPES)
        if not isinstance(message, bytes | memoryview):
            message = _TYPES.serialize_cdr(message, type_name)
        self._writer.write(self._connections[topic], recorded_ns, message)


def make_header(time_ns: int, frame_id: str) -> Any:
    """Make a std_msgs/Header."""
    time = _TYPES.types['builtin_interfaces/msg/Time'](*divmod(time_ns, 1_000_000_000))
    return _TYPES.types['std_msgs/msg/Header'](time, frame_id)


def make_image(header: Any, image: np.ndarray, encoding: str = 'rgb8') -> Any:
    """
    Make a sensor_msgs/Image without row padding.

    :param image: (H, W, 3) uint8 RGB for rgb8 and bgr8, (H, W) uint8 for mono8.
    """
    if encoding == 'bgr8':
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data = np.ascontiguousarray(image).reshape(-1)
    height, width = image.shape[:2]
    return _TYPES.types[IMAGE](header, height, width, encoding, 0, data.size // height, data)


def make_compressed(header: Any, data: bytes) -> Any:
    """Make a sensor_msgs/CompressedImage of the bytes of a PNG or JPEG."""
    kind = 'png' if data.startswith(b'\x89PNG') else 'jpeg'
    return _TYPES.types[COMPRESSED](header, kind, np.frombuffer(data, np.uint8))


def create(images: Path | str | Iterable[Path | np.ndarray], out: Path | str,
           topic: str = '/camera/image_raw', rate_hz: float = 15.0, compressed: bool = False,
           frame_id: str = 'camera', storage: str = 'mcap',
           progress: Callable[[int], Any] | None = None) -> int:
    """
    Make a bag from images.

    :param images: a folder of PNG and JPEG files, or paths, or (H, W, 3) uint8 RGB arrays.
    :param out: the bag, a folder to make.
    :param topic: of the images; '/compressed' is appended where it is missing and wanted.
    :param rate_hz: images per second.
    :param compressed: write CompressedImage: files as they are, arrays as JPEG.
    :param frame_id: of every header.
    :param storage: 'mcap' or 'sqlite3'.
    :param progress: called with the number of images written so far.
    :return: the number of images.
    :raises BagError: rate out of range, or `out` exists.
    :raises ImageFileError: a folder without images, or a file that cannot be read.
    """
    if not rate_hz > 0:
        raise BagError(f'rate_hz is {rate_hz}: use more than 0')
    if isinstance(images, Path | str):
        images = list_images(images)
    if compressed and not topic.endswith('/compressed'):
        topic += '/compressed'
    count = 0
    with BagWriter(out, storage) as writer:
        for count, image in enumerate(images, 1):
            time_ns = START_NS + round((count - 1) * 1e9 / rate_hz)
            header = make_header(time_ns, frame_id)
            if compressed:
                writer.write(topic, COMPRESSED, make_compressed(header, _encoded(image)), time_ns)
            else:
                pixels = image if isinstance(image, np.ndarray) else read_image(image)
                writer.write(topic, IMAGE, make_image(header, pixels), time_ns)
            if progress is not None:
                progress(count)
    return count


def _encoded(image: Path | np.ndarray) -> bytes:
    if isinstance(image, np.ndarray):
        return cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    read_image(image)  # for the error that names the file
    return Path(image).read_bytes()


@contextmanager
def open_bag(path: Path | str) -> Iterator[AnyReader]:
    """
    Open a rosbag2 folder, or its .mcap or .db3 file, for reading.

    :raises BagError: missing, damaged, or no rosbag2.
    """
    path = Path(path)
    if path.suffix == '.bag' and path.is_file():
        raise BagError(f'{path} is a ROS 1 bag: convert it first (rosbags-convert --src {path} '
                       f'--dst {path.stem})')
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(AnyReader([_not_called_bag(path, stack)],
                                                   default_typestore=_TYPES))
        except FileNotFoundError as error:
            raise BagError(f'no bag at {path}: give a rosbag2 folder (with metadata.yaml), or an '
                           '.mcap or .db3 file') from error
        except Exception as error:  # a damaged file ends in errors of several libraries
            raise BagError(f'{path} cannot be read as a rosbag2: {error}') from error
        yield reader


def _not_called_bag(path: Path, stack: ExitStack) -> Path:
    """Give a folder x.bag another name for the time being: rosbags takes it for ROS 1."""
    if path.suffix != '.bag' or not path.is_dir():
        return path
    link = Path(stack.enter_context(TemporaryDirectory(prefix='ubcn_bag_'))) / 'bag'
    link.symlink_to(path.resolve())
    return link


def image_connection(reader: AnyReader, topic: str | None = None) -> Connection:
    """
    Find the image topic of an open bag.

    :param topic: its name; None takes the only one that there is.
    :raises BagError: no such topic, of another type, or several to choose from; the text lists
        the topics there are.
    """
    connections = {c.topic: c for c in reader.connections}
    listing = ', '.join(f'{c.topic} ({c.msgtype}, {c.msgcount})'
                        for c in connections.values()) or '(none)'
    if topic is not None:
        wanted = connections.get('/' + topic.lstrip('/')) or connections.get(topic)
        if wanted is None:
            raise BagError(f'the bag has no topic {topic}; its topics are {listing}')
        if wanted.msgtype not in (IMAGE, COMPRESSED):
            raise BagError(f'topic {topic} is of type {wanted.msgtype}, not {IMAGE} or '
                           f'{COMPRESSED}; the topics are {listing}')
        return wanted
    found = [c for c in connections.values()
             if c.msgtype in (IMAGE, COMPRESSED) and c.msgcount]
    if not found:
        raise BagError(f'the bag has no images; its topics are {listing}')
    if len(found) > 1:
        raise BagError('the bag has several image topics, choose one with topic: '
                       + ', '.join(c.topic for c in found))
    return found[0]


def decode(message: Any) -> np.ndarray:
    """
    Convert a deserialised Image or CompressedImage to (H, W, 3) uint8 RGB.

    :raises MalformedImage: the message cannot be an image.
    """
    return to_rgb(message) if hasattr(message, 'step') else compressed_to_rgb(message)


def read_images(path: Path | str, topic: str | None = None) -> Iterator[BagImage]:
    """
    Yield the images of a bag in the order of recording.

    :param topic: the image topic; None takes the only one that there is.
    :raises BagError: from open_bag and image_connection, or an image is malformed.
    """
    with open_bag(path) as reader:
        connection = image_connection(reader, topic)
        for number, (recorded, message) in enumerate(_messages(reader, connection), 1):
            try:
                yield BagImage(connection.topic, message.header, recorded, decode(message))
            except MalformedImage as error:
                raise BagError(f'{path}, message {number} of {connection.topic}: {error}'
                               ) from error


def _messages(reader: AnyReader, connection: Connection) -> Iterator[tuple[int, Any]]:
    for _, recorded, data in reader.messages([connection]):
        yield recorded, reader.deserialize(data, connection.msgtype)


@dataclass
class Processed:
    """What `process` did: frames written, and a line for each message that was no image."""

    topic: str
    frames: int = 0
    malformed: list[str] = field(default_factory=list)


def process(in_bag: Path | str, out_bag: Path | str, engine: Any, iterations: int = 3,
            topic: str | None = None, pictures: bool = False, storage: str = 'mcap',
            progress: Callable[[int, int], Any] | None = None) -> Processed:
    """
    Take every image of a bag through the engine into a new bag.

    Each output carries the header and the recording time of its input; the topics are the
    node's: /derained/image_raw and /labels/image_raw, and a CameraInfo beside the input as
    /derained/camera_info. A malformed message is noted and the next one taken.

    :param engine: as Engine: called with (H, W, 3) uint8 RGB and iterations.
    :param topic: the image topic; None takes the only one that there is.
    :param pictures: write /labels/color and /overlay/image_raw too.
    :param storage: of the new bag, 'mcap' or 'sqlite3'.
    :param progress: called with the number of messages done and of all.
    :raises BagError: a bag cannot be read or written as asked.
    """
    with open_bag(in_bag) as reader:
        source = image_connection(reader, topic)
        infos = [c for c in reader.connections
                 if c.topic == _beside(source.topic) and c.msgtype == CAMERA_INFO]
        result = Processed(source.topic)
        with BagWriter(out_bag, storage) as writer:
            done = 0
            for connection, recorded, data in reader.messages([source, *infos]):
                if connection.msgtype == CAMERA_INFO:
                    writer.write('/derained/camera_info', CAMERA_INFO, bytes(data), recorded)
                    continue
                done += 1
                try:
                    message = reader.deserialize(data, connection.msgtype)
                    image = decode(message)
                except (AnyReaderError, MalformedImage) as error:
                    result.malformed.append(f'message {done} of {source.topic}: {error}')
                else:
                    frame = engine(image, iterations=iterations)
                    for name, pixels, encoding in _outputs(message, frame, engine, pictures):
                        writer.write(name, IMAGE, make_image(message.header, pixels, encoding),
                                     recorded)
                    result.frames += 1
                if progress is not None:
                    progress(done, source.msgcount)
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
