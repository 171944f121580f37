# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
sensor_msgs Image and CompressedImage to arrays and back.

Nothing here imports ROS: messages are read and filled through their fields, so that the layer can
be tested, and fuzzed, anywhere. Every way in which a message can be wrong ends in MalformedImage
before anything of its claimed size is allocated.
"""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np

from ubcn_ros.images.decoding import decode
from ubcn_ros.images.encodings import ENCODINGS, LAYOUTS, convert, output_encoding, rows_and_bytes
from ubcn_ros.images.malformed import RECORDED_SO, MalformedImage, Remedy, check_size

__all__ = ['ENCODINGS', 'MalformedImage', 'compressed_to_rgb', 'fill_fields', 'fill_image',
           'in_encoding', 'output_encoding', 'to_rgb']


def to_rgb(message: Any) -> np.ndarray:
    """
    Convert a sensor_msgs/Image to RGB.

    :param message: anything with the fields of sensor_msgs/Image.
    :return: (H, W, 3) uint8 RGB; for rgb8 a view of the message's data, rows padded as
        they came.
    :raises MalformedImage: unknown encoding, size out of range, or step or data that disagree
        with the size.
    """
    encoding, height, width = message.encoding, message.height, message.width
    check_size(height, width)
    if encoding not in LAYOUTS:
        return _through_cv_bridge(message)
    even = LAYOUTS[encoding].even
    if any(getattr(message, side) % 2 for side in even):
        sides = ' and '.join(even)
        crop = f'crop to an even {sides}'
        raise MalformedImage('size', f"size {width} x {height} is odd; '{encoding}' stores "
                             f'pixels in pairs along {sides}', Remedy(crop, crop, crop))
    rows = _rows(message, *rows_and_bytes(encoding, height, width))
    return convert(encoding, rows, width, bool(message.is_bigendian))


def compressed_to_rgb(message: Any) -> np.ndarray:
    """
    Decode a sensor_msgs/CompressedImage holding a JPEG or PNG.

    The size is read from the image's header and checked, also against the number of bytes, before
    anything is decoded; the type is read from the first bytes (drivers disagree about the `format`
    field). EXIF orientation is ignored, so that the result agrees with the camera's CameraInfo.
    An image of one channel is a mosaic where `format` says so, as in
    'bayer_rggb8; jpeg compressed bayer_rggb8'.

    :param message: anything with the fields of sensor_msgs/CompressedImage.
    :return: (H, W, 3) uint8 RGB.
    :raises MalformedImage: not a JPEG or PNG, cut short, damaged, or of a size out of range.
    """
    encoding = payload_encoding(message.format)
    return decode(memoryview(message.data).cast('B'),
                  mosaic=encoding if encoding.startswith('bayer_') else None)


def fill_image(message: Any, header: Any, image: np.ndarray, encoding: str) -> Any:
    """
    Fill a sensor_msgs/Image, rows without padding (RViz ignores `step`).

    :param message: an empty sensor_msgs/Image.
    :param header: std_msgs/Header, used as it is.
    :param image: (H, W, 3) uint8 RGB, or (H, W) uint8.
    :param encoding: 'rgb8', 'bgr8' (the channels are swapped here) or 'mono8'.
    :return: the message.
    :raises ValueError: an encoding that is none of these.
    """
    pixels = in_encoding(image, encoding)
    # The generated setter checks every element of anything but an array.array: 500 times slower.
    data = array.array('B')
    data.frombytes(pixels)
    message.data = data
    return fill_fields(message, header, pixels, encoding)


def in_encoding(image: np.ndarray, encoding: str) -> np.ndarray:
    """
    Return the pixels of an image as a message of an encoding has them, contiguous.

    :param image, encoding: as for `fill_image`.
    :raises ValueError: as there.
    """
    if encoding not in ('rgb8', 'bgr8', 'mono8'):
        raise ValueError(f"cannot fill an image of encoding '{encoding}': use rgb8, bgr8 or mono8")
    return np.ascontiguousarray(
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if encoding == 'bgr8' else image)


def fill_fields(message: Any, header: Any, pixels: np.ndarray, encoding: str) -> Any:
    """
    Fill all but the data of a sensor_msgs/Image.

    :param header: std_msgs/Header, used as it is.
    :param pixels: as `in_encoding` returns them.
    :return: the message.
    """
    message.header = header
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = pixels[0].nbytes
    return message


def _rows(message: Any, count: int, row_bytes: int) -> np.ndarray:
    """View a message's data as (count, step) uint8."""
    step, data = message.step, np.frombuffer(message.data, np.uint8)
    if step < row_bytes:
        raise MalformedImage(
            'step', f"step {step} is shorter than a row: {message.width} pixels of "
            f"'{message.encoding}' take {row_bytes} bytes",
            Remedy('the driver must set step to that, or more when it pads rows', RECORDED_SO, ''))
    _check_data(message, data.size, count)
    return data.reshape(count, step)


def _check_data(message: Any, size: int, rows: int) -> None:
    if size != message.step * rows:
        raise MalformedImage(
            'data', f'{size} bytes of data, but {rows} rows of step {message.step} take '
            f'{message.step * rows}',
            Remedy('the driver must publish whole frames', RECORDED_SO, ''))


def _through_cv_bridge(message: Any) -> np.ndarray:
    """Read an encoding that only a later cv_bridge knows, where one is installed."""
    try:
        from cv_bridge import CvBridge
    except (ImportError, AttributeError) as error:  # AttributeError: built for another NumPy
        raise _unknown(message.encoding) from error
    _check_data(message, len(message.data), message.height)
    try:
        image = CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except Exception as error:  # cv_bridge lets errors of several libraries through
        raise _unknown(message.encoding) from error
    return np.ascontiguousarray(image, np.uint8)


def _unknown(encoding: str) -> MalformedImage:
    known = ', '.join(ENCODINGS)
    if encoding == '8UC2':
        known = 'uyvy or yuv422_yuy2, whichever order it has'
    return MalformedImage(
        'encoding', f"encoding '{_short(encoding)}' is not known",
        Remedy(f'publish one of {known}', f'convert the images to one of {known}', ''))


def payload_encoding(text: str) -> str:
    """
    Name the encoding inside a CompressedImage by its `format`; empty where nothing says it.

    image_transport writes 'ENCODING; CODEC compressed ENCODING': of the message that it was given,
    and of what it compressed, which may be missing where both are the same.
    """
    given, _, compressed = text.partition(';')
    names = [*compressed.split()[-1:], *given.split()[:1]]
    return next((name for name in names if name in LAYOUTS), '')


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + '...'
