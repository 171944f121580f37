# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Changed pixels in the form that an image came in: the way back of `messages`."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ubcn_ros.images.encodings import LAYOUTS, rows_and_bytes
from ubcn_ros.images.formats import read_header, without_animation
from ubcn_ros.images.messages import payload_encoding

_JPEG_QUALITY = 95
_PNG_DEPTH = 24  # byte of a PNG that says how many bits a sample has
# OpenCV's way to RGB -> the way back
_BACK = {cv2.COLOR_BGR2RGB: cv2.COLOR_RGB2BGR, cv2.COLOR_RGBA2RGB: None,
         cv2.COLOR_BGRA2RGB: cv2.COLOR_RGB2BGR, cv2.COLOR_GRAY2RGB: cv2.COLOR_RGB2GRAY,
         # not in OpenCV before 4.10
         cv2.COLOR_YUV2RGB_UYVY: getattr(cv2, 'COLOR_RGB2YUV_UYVY', None),
         cv2.COLOR_YUV2RGB_YUYV: getattr(cv2, 'COLOR_RGB2YUV_YUYV', None), None: None}
_CHROMA_ORDER = {cv2.COLOR_YUV2RGB_NV12: 1, cv2.COLOR_YUV2RGB_NV21: -1}


def image_fields(message: Any, image: np.ndarray) -> dict[str, Any]:
    """
    Return the fields of a sensor_msgs/Image that hold other pixels than it does.

    Encoding, row padding and alpha stay; encodings that there is no way back to become rgb8.

    :param message: an image that `to_rgb` reads.
    :param image: (H, W, 3) uint8 RGB, of its size.
    :return: encoding, is_bigendian, step and data, (N,) uint8.
    """
    height, width = image.shape[:2]
    encoding = message.encoding
    packed = _packed(encoding, image, bool(message.is_bigendian)) if encoding in LAYOUTS else None
    if packed is None:
        data = np.ascontiguousarray(image).reshape(-1)
        return {'encoding': 'rgb8', 'is_bigendian': 0, 'step': 3 * width, 'data': data}
    rows, row_bytes = rows_and_bytes(encoding, height, width)
    data = np.array(message.data, np.uint8).reshape(rows, message.step)
    layout = LAYOUTS[encoding]
    if layout.channels == 4:
        colours = 3 * layout.sample_bytes
        pixels = data[:, :row_bytes].reshape(rows, width, -1)
        pixels[..., :colours] = packed.reshape(rows, width, -1)
        data[:, :row_bytes] = pixels.reshape(rows, row_bytes)
    else:
        data[:, :row_bytes] = packed.reshape(rows, row_bytes)
    return {'encoding': encoding, 'is_bigendian': message.is_bigendian, 'step': message.step,
            'data': data.reshape(-1)}


def compressed_fields(message: Any, image: np.ndarray) -> dict[str, Any]:
    """
    Return the fields of a sensor_msgs/CompressedImage that hold other pixels than it does.

    JPEG stays JPEG (of quality 95) and PNG PNG; grey without alpha stays grey, a mosaic a mosaic,
    samples of 16 bits have 16, and an alpha channel stays.

    :param message: an image that `compressed_to_rgb` reads.
    :param image: (H, W, 3) uint8 RGB, of its size.
    :return: format and data, (N,) uint8.
    """
    data = memoryview(message.data).cast('B')
    header = read_header(data)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if header.grey:
        encoding = payload_encoding(message.format)
        if not encoding.startswith('bayer_'):
            encoding = 'mono8'
        pixels = _packed(encoding.replace('16', '8'), image, False)
    if header.format == 'PNG' and data[_PNG_DEPTH] == 16:
        pixels = pixels.astype(np.uint16) * 257
    if header.format == 'PNG' and not header.grey:
        before = cv2.imdecode(np.frombuffer(without_animation(data), np.uint8),
                              cv2.IMREAD_UNCHANGED)
        pixels = np.dstack([pixels, before[..., 3:]])
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if header.format == 'JPEG' else []
    encoded = cv2.imencode('.jpg' if header.format == 'JPEG' else '.png', pixels, options)[1]
    return {'format': message.format, 'data': encoded.reshape(-1)}


def _packed(encoding: str, image: np.ndarray, bigendian: bool) -> np.ndarray | None:
    """Return RGB as the bytes of an encoding, without alpha; None where there is no way."""
    layout = LAYOUTS[encoding]
    if encoding.startswith('bayer_'):
        samples = _mosaic(encoding, image)
    elif layout.conversion in _CHROMA_ORDER:
        return _semi_planar(image, _CHROMA_ORDER[layout.conversion])
    elif layout.conversion not in _BACK or encoding == 'nv24':
        return None
    elif (back := _BACK[layout.conversion]) is not None:
        samples = cv2.cvtColor(image, back)
    elif layout.channels == 2:
        return None
    else:
        samples = image
    if layout.sample_bytes == 2:
        samples = (samples.astype(np.uint16) * 257).astype('>u2' if bigendian else '<u2')
    return np.ascontiguousarray(samples).view(np.uint8)


def _mosaic(encoding: str, image: np.ndarray) -> np.ndarray:
    """Take of each pixel the colour that its filter lets through."""
    mosaic = np.empty(image.shape[:2], np.uint8)
    for place, colour in enumerate(encoding[6:10]):
        y, x = divmod(place, 2)
        mosaic[y::2, x::2] = image[y::2, x::2, 'rgb'.index(colour)]
    return mosaic


def _semi_planar(image: np.ndarray, order: int) -> np.ndarray:
    """Return a plane of luma above one of chroma pairs, u first or, for an order of -1, v."""
    height, width = image.shape[:2]
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    chroma = planes[height:].reshape(2, height // 2, width // 2)[::order]
    pairs = np.moveaxis(chroma, 0, -1).reshape(height // 2, width)
    return np.concatenate([planes[:height], pairs])
