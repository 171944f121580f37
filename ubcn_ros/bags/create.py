# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Make a bag of images, with calibration and rain where they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros.bags.calibration import read_calibration
from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.image_source import ImageSource, at_rate, image_source
from ubcn_ros.bags.messages import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    make_compressed,
    make_header,
    make_image,
)
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.topics import check_names
from ubcn_ros.images.files import ImageFileError, read_image
from ubcn_ros.images.formats import FILE_FORMATS, MESSAGE_FORMATS, read_header
from ubcn_ros.images.video import VideoError
from ubcn_ros.node import topics as node_topics


def create(images: ImageSource | Path | str | Iterable[Path | np.ndarray], out: Path | str,
           topic: str = '/camera/image_raw', rate_hz: float | None = None,
           compressed: bool = False, frame_id: str = 'camera',
           progress: Callable[[int], Any] | None = None, calibration: Path | str | None = None,
           rain: Callable[[np.ndarray, float], np.ndarray] | None = None,
           on_error: Callable[[str], Any] | None = None,
           left_out: Counter[str] | None = None) -> int:
    """
    Make a bag of images.

    :param images: a folder of image files, a video, an ImageSource, or paths or (H, W, 3) uint8
        RGB arrays.
    :param out: the bag, a folder to make.
    :param topic: of the images; '/compressed' is appended where it is missing and wanted.
    :param rate_hz: images per second; see `image_source`. An ImageSource has its own stamps.
    :param compressed: write CompressedImage: JPEG and PNG files as they are, other files as PNG,
        arrays and images with rain as JPEG.
    :param frame_id: of every header.
    :param progress: called with the number of images written so far.
    :param calibration: file of which a CameraInfo goes with each image, beside its topic.
    :param rain: renders rain on an image at seconds since the first, as RainSequence.
    :param on_error: called with what is wrong with a file that cannot be read, or with a video
        that is not whole; the bag is made of the rest, whose stamps stay. None: that is raised.
    :param left_out: counts what is not read of image files, as of `read_image`.
    :return: the number of images that were written.
    :raises BagError: the rate, topic, frame id or calibration is invalid, an image has another
        size than the calibration, `out` exists or cannot be written, or nothing can be read; no
        bag is left.
    :raises ImageFileError: a folder without images, or a file that cannot be read; no bag is left.
    :raises VideoError: a video that cannot be read; no bag is left.
    """
    check_names(topic, frame_id)
    if isinstance(images, Path | str):
        images = image_source(images, rate_hz)
    elif not isinstance(images, ImageSource):
        images = at_rate(images, rate_hz)
    info = read_calibration(calibration) if calibration else None
    info_topic = node_topics.camera_info_topic(topic)
    if compressed and topic == node_topics.base_topic(topic):
        topic += node_topics.COMPRESSED
    errors: list[ValueError] = []

    def failed(error: ValueError) -> None:
        if on_error is None:
            raise error
        errors.append(error)
        on_error(str(error))

    count, start, writer = 0, 0, McapBagWriter(out)
    try:
        with writer:
            for number, time_ns, image, pixels in _readable(images.frames, failed, left_out):
                start = start or time_ns
                if info is not None and pixels.shape[:2] != (info.height, info.width):
                    raise BagError(f'image {number} is {pixels.shape[1]} x {pixels.shape[0]} '
                                   f'pixels, but {calibration} is of {info.width} x '
                                   f'{info.height}: give the calibration of these images')
                if rain is not None:
                    pixels = image = rain(pixels, (time_ns - start) / 1e9)
                header = make_header(time_ns, frame_id)
                if compressed:
                    writer.write_message(topic, COMPRESSED,
                                         make_compressed(header, _encoded(image, pixels)), time_ns)
                else:
                    writer.write_message(topic, IMAGE, make_image(header, pixels), time_ns)
                if info is not None:
                    info.header = header
                    writer.write_message(info_topic, CAMERA_INFO, info, time_ns)
                count += 1
                if progress is not None:
                    progress(count)
            if errors and not count:
                raise BagError(f'{out} was not made: no image could be read')
    except Exception:  # not where a signal ends it: what is there is whole then
        writer.remove()
        raise
    return count


def _readable(frames: Iterable[tuple[int, Path | np.ndarray]],
              failed: Callable[[ValueError], None], left_out: Counter[str] | None
              ) -> Iterator[tuple[int, int, Path | np.ndarray, np.ndarray]]:
    """Yield number from 1, stamp, image and pixels of each that can be read."""
    try:
        for number, (time_ns, image) in enumerate(frames, 1):
            try:
                pixels = image if isinstance(image, np.ndarray) else \
                    read_image(image, left_out)
            except ImageFileError as error:
                failed(error)
            else:
                yield number, time_ns, image, pixels
    except VideoError as error:  # after the frames that are whole
        failed(error)


def _encoded(image: Path | np.ndarray, pixels: np.ndarray) -> bytes:
    """Return a file as it is where messages can have it; else encode its pixels."""
    if isinstance(image, np.ndarray):
        return cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    data = image.read_bytes()
    if read_header(data, FILE_FORMATS).format in MESSAGE_FORMATS:
        return data
    return cv2.imencode('.png', pixels[..., ::-1])[1].tobytes()
