# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
sensor_msgs Image and CompressedImage to arrays and back.

Nothing here imports ROS: messages are read and filled through their fields, so that the layer can
be tested, and fuzzed, anywhere. Every way in which a message can be wrong ends in MalformedImage
before anything of its claimed size is allocated.

Encodings: sensor_msgs/image_encodings.hpp; chroma: ITU-R BT.601, studio range, as OpenCV has it.
"""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np

MIN_SIDE = 32
"""Smallest height and width, pixels, that the network takes."""
MAX_PIXELS = 1 << 26
"""Largest height x width that is decoded, pixels (8192 x 8192)."""

# encoding -> (channels as stored, OpenCV conversion to RGB or None)
_PACKED = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': (1, cv2.COLOR_BayerRGGB2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerBGGR2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGBRG2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGRBG2RGB),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUYV),
    'yuyv': (2, cv2.COLOR_YUV2RGB_YUYV),
}
ENCODINGS = (*_PACKED, 'mono16', 'nv12')
"""Encodings of sensor_msgs/Image that are read without cv_bridge."""

_JPEG_START = b'\xff\xd8\xff'
_PNG_START = b'\x89PNG\r\n\x1a\n'
# Cameras pad JPEG buffers behind the end marker: bytes of the tail in which it is looked for.
_TAIL = 4096
# A PNG of MAX_PIXELS in chunks of 8 KiB, as libpng writes them, has fewer.
_MOST_CHUNKS = 1 << 16
# Most pixels that a byte can stand for. JPEG: one bit per 8 x 8 block at least; PNG: deflate
# shrinks to 1/1032 at most, and a pixel takes one bit at least.
_JPEG_DENSEST, _PNG_DENSEST = 8 * 64, 8 * 1032


class MalformedImage(ValueError):
    """
    A message that cannot be an image; the text names the value and the remedy.

    `kind` groups reasons for counting: 'encoding', 'size', 'step', 'data' or 'compressed'.
    """

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind = kind


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
    _check_size(height, width)
    if encoding in _PACKED:
        channels, conversion = _PACKED[encoding]
        rows = _rows(message, height, width * channels)
        if encoding.startswith(('yuv', 'uyvy', 'yuyv')) and width % 2:
            raise MalformedImage(
                'size', f"width {width} is odd; '{encoding}' stores pixels in pairs: crop to an "
                'even width')
        pixels = rows if channels == 1 else rows.reshape(height, width, channels)
        return pixels if conversion is None else cv2.cvtColor(pixels, conversion)
    if encoding == 'mono16':
        rows = np.ascontiguousarray(_rows(message, height, width * 2))
        values = rows.view('>u2' if message.is_bigendian else '<u2').astype(np.uint16, copy=False)
        return cv2.cvtColor(cv2.convertScaleAbs(values, alpha=255 / 65535), cv2.COLOR_GRAY2RGB)
    if encoding == 'nv12':
        if width % 2 or height % 2:
            raise MalformedImage(
                'size', f"{width} x {height} is odd; 'nv12' has one chroma sample per 2 x 2 "
                'pixels: crop to an even width and height')
        return cv2.cvtColor(_rows(message, height + height // 2, width), cv2.COLOR_YUV2RGB_NV12)
    return _through_cv_bridge(message)


def compressed_to_rgb(message: Any) -> np.ndarray:
    """
    Decode a sensor_msgs/CompressedImage holding a JPEG or PNG.

    The size is read from the file's header and checked, also against the number of bytes, before
    anything is decoded; the type is read from the first bytes (drivers disagree about the `format`
    field). EXIF orientation is ignored, so that the result agrees with the camera's CameraInfo.

    :param message: anything with the fields of sensor_msgs/CompressedImage.
    :return: (H, W, 3) uint8 RGB.
    :raises MalformedImage: not a JPEG or PNG, cut short, damaged, or of a size out of range.
    """
    data = memoryview(message.data).cast('B')
    height, width = compressed_size(data)
    _check_size(height, width)
    png = data[0] == _PNG_START[0]
    if height * width > len(data) * (_PNG_DENSEST if png else _JPEG_DENSEST):
        raise MalformedImage(
            'compressed', f'{len(data)} bytes cannot hold the {width} x {height} pixels that '
            'their header promises: the message is cut short or damaged')
    whole = _png_is_whole(data) if png else b'\xff\xd9' in bytes(data[-_TAIL:])
    if not whole:
        raise MalformedImage(
            'compressed', f'{len(data)} bytes of a {width} x {height} image end before its end '
            'marker: the driver or the transport cuts messages short')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8),
                             cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise MalformedImage('compressed', f'image cannot be decoded: {error.err}') from error
    if image is None or image.shape[:2] != (height, width):
        raise MalformedImage(
            'compressed', f'{len(data)} bytes with the header of a {width} x {height} image '
            'cannot be decoded: they are damaged')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def compressed_size(data: memoryview | bytes) -> tuple[int, int]:
    """
    Read height and width from the header of a JPEG or PNG without decoding it.

    :param data: the file's bytes.
    :return: (height, width) in pixels, unchecked.
    :raises MalformedImage: neither a JPEG nor a PNG, or a header without a size.
    """
    start = bytes(data[:26])
    if start.startswith(_PNG_START):
        if len(start) >= 24 and start[12:16] == b'IHDR':
            return int.from_bytes(start[20:24], 'big'), int.from_bytes(start[16:20], 'big')
    elif start.startswith(_JPEG_START):
        size = _jpeg_size(data)
        if size is not None:
            return size
    else:
        raise MalformedImage(
            'compressed', f"{len(data)} bytes beginning with '{start[:4].hex(' ')}' are neither "
            'JPEG nor PNG: publish one of these, or raw images with input_transport:=raw')
    raise MalformedImage('compressed', f'{len(data)} bytes of an image without a size in its '
                         'header: the message is cut short or damaged')


def output_encoding(encoding: str) -> str:
    """Name the encoding of the derained image for an input encoding: its own colour order."""
    return 'bgr8' if encoding == 'bgr8' else 'rgb8'


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
    if encoding not in ('rgb8', 'bgr8', 'mono8'):
        raise ValueError(f"cannot fill an image of encoding '{encoding}': use rgb8, bgr8 or mono8")
    if encoding == 'bgr8':
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    message.header = header
    message.height, message.width = image.shape[:2]
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = image.shape[1] * (1 if encoding == 'mono8' else 3)
    # The generated setter checks every element of anything but an array.array: 500 times slower.
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(image))
    message.data = data
    return message


def _check_size(height: int, width: int) -> None:
    if height == 0 or width == 0:
        raise MalformedImage(
            'size', f'size {width} x {height}: the driver published an empty image')
    if height < MIN_SIDE or width < MIN_SIDE:
        raise MalformedImage(
            'size', f'size {width} x {height} is too small: at least {MIN_SIDE} x {MIN_SIDE} '
            'pixels are needed')
    if height * width > MAX_PIXELS:
        raise MalformedImage(
            'size', f'size {width} x {height} is above the limit of {MAX_PIXELS} pixels: publish '
            'a smaller image')


def _rows(message: Any, height: int, row_bytes: int) -> np.ndarray:
    """View a message's data as (height, row_bytes) uint8 without the padding of its rows."""
    step, data = message.step, np.frombuffer(message.data, np.uint8)
    if step < row_bytes:
        raise MalformedImage(
            'step', f"step {step} is shorter than a row: {message.width} pixels of "
            f"'{message.encoding}' take {row_bytes} bytes; the driver must set step to that, or "
            'more when it pads rows')
    if data.size != step * height:
        raise MalformedImage(
            'data', f'{data.size} bytes of data, but {height} rows of step {step} take '
            f'{step * height}: the driver must publish whole frames')
    return data.reshape(height, step)[:, :row_bytes]


def _through_cv_bridge(message: Any) -> np.ndarray:
    known = ', '.join(ENCODINGS)
    try:
        from cv_bridge import CvBridge
    except (ImportError, AttributeError) as error:  # AttributeError: built for another NumPy
        raise MalformedImage(
            'encoding', f"encoding '{_short(message.encoding)}' is not known: publish one of "
            f'{known}, or install cv_bridge') from error
    if len(message.data) != message.step * message.height:
        raise MalformedImage(
            'data', f'{len(message.data)} bytes of data, but {message.height} rows of step '
            f'{message.step} take {message.step * message.height}: publish whole frames')
    try:
        image = CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except Exception as error:  # cv_bridge lets errors of several libraries through
        raise MalformedImage(
            'encoding', f"encoding '{_short(message.encoding)}' cannot be converted by cv_bridge "
            f'({error}): publish one of {known}') from error
    return np.ascontiguousarray(image, np.uint8)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + '...'


def _jpeg_size(data: memoryview | bytes) -> tuple[int, int] | None:
    """Find the frame header (ITU-T T.81, B.2.2) of a JPEG; None where there is none."""
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xff:
            return None
        marker = data[position + 1]
        if marker == 0xff:  # fill byte
            position += 1
            continue
        if marker == 0x01 or 0xd0 <= marker <= 0xd8:  # markers without a segment
            position += 2
            continue
        if marker in (0xd9, 0xda):  # end, or image data before any frame header
            return None
        if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
            return (int.from_bytes(data[position + 5:position + 7], 'big'),
                    int.from_bytes(data[position + 7:position + 9], 'big'))
        position += 2 + int.from_bytes(data[position + 2:position + 4], 'big')
    return None


def _png_is_whole(data: memoryview) -> bool:
    """
    Walk a PNG's chunks (PNG specification, 5.3) to its end chunk.

    A decoder believes the length that a damaged chunk gives, and allocates it.
    """
    position = len(_PNG_START)
    for _ in range(_MOST_CHUNKS):
        if position + 12 > len(data):
            return False
        if data[position + 4:position + 8] == b'IEND':
            return True
        position += 12 + int.from_bytes(data[position:position + 4], 'big')
    return False
