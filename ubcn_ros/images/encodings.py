# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Encodings of raw images: how their bytes lie, and the way to RGB.

Names: sensor_msgs/image_encodings.hpp, and OpenCV's types in the order that OpenCV has them in.
Chroma: ITU-R BT.601, studio range, as OpenCV has it.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class Layout(NamedTuple):
    """
    Where an encoding keeps its samples.

    ``channels`` samples of ``sample_bytes`` per pixel of a row; ``height_factor`` rows per image
    row, those below the image being chroma; ``even`` sides; ``conversion``: OpenCV's to RGB.
    """

    channels: int
    conversion: int | None
    sample_bytes: int = 1
    even: tuple[str, ...] = ()
    height_factor: float = 1


_BAYER = {'rggb': cv2.COLOR_BayerRGGB2RGB, 'bggr': cv2.COLOR_BayerBGGR2RGB,
          'gbrg': cv2.COLOR_BayerGBRG2RGB, 'grbg': cv2.COLOR_BayerGRBG2RGB}
_EIGHT_BITS = {
    'rgb': Layout(3, None),
    'bgr': Layout(3, cv2.COLOR_BGR2RGB),
    'rgba': Layout(4, cv2.COLOR_RGBA2RGB),
    'bgra': Layout(4, cv2.COLOR_BGRA2RGB),
    'mono': Layout(1, cv2.COLOR_GRAY2RGB),
    **{f'bayer_{pattern}': Layout(1, conversion) for pattern, conversion in _BAYER.items()},
}
_OPENCV = {'{}UC1': 'mono', '{}UC3': 'bgr', '{}UC4': 'bgra'}
_YUYV = Layout(2, cv2.COLOR_YUV2RGB_YUYV, even=('width',))
_UYVY = Layout(2, cv2.COLOR_YUV2RGB_UYVY, even=('width',))

LAYOUTS = {
    **{f'{name}{bits}': layout._replace(sample_bytes=bits // 8)
       for bits in (8, 16) for name, layout in _EIGHT_BITS.items()},
    **{name.format(bits): _EIGHT_BITS[same]._replace(sample_bytes=bits // 8)
       for bits in (8, 16) for name, same in _OPENCV.items()},
    'yuv422': _UYVY, 'uyvy': _UYVY, 'yuv422_yuy2': _YUYV, 'yuyv': _YUYV,
    'nv12': Layout(1, cv2.COLOR_YUV2RGB_NV12, even=('width', 'height'), height_factor=1.5),
    'nv21': Layout(1, cv2.COLOR_YUV2RGB_NV21, even=('width', 'height'), height_factor=1.5),
    'nv24': Layout(1, None, height_factor=3),
}
"""Layout of each encoding that is read without cv_bridge."""
ENCODINGS = tuple(LAYOUTS)
"""Encodings of sensor_msgs/Image that are read without cv_bridge."""

# Y, U, V and 1 to R, G, B
_STUDIO = np.float32([[1.164383, 0, 1.596027, -222.9216],
                      [1.164383, -0.391762, -0.812968, 135.5753],
                      [1.164383, 2.017232, 0, -276.8358]])


def rows_and_bytes(encoding: str, height: int, width: int) -> tuple[int, int]:
    """Return how many rows an image takes, and the bytes of one without padding."""
    layout = LAYOUTS[encoding]
    return int(height * layout.height_factor), width * layout.channels * layout.sample_bytes


def convert(encoding: str, rows: np.ndarray, width: int, bigendian: bool = False) -> np.ndarray:
    """
    Convert the rows of an image to RGB.

    :param encoding: one of ENCODINGS.
    :param rows: uint8, as many as `rows_and_bytes` says, padding at the end of each.
    :param width: of the image, pixels.
    :param bigendian: order of the bytes of 16 bit samples, which are scaled from their whole
        range to 8 bits.
    :return: (H, W, 3) uint8 RGB; for rgb8 a view of `rows`.
    """
    layout = LAYOUTS[encoding]
    if encoding == 'nv24':
        return _nv24(rows, width)
    rows = rows[:, :width * layout.channels * layout.sample_bytes]
    if layout.sample_bytes == 2:
        values = np.ascontiguousarray(rows).view('>u2' if bigendian else '<u2')
        rows = cv2.convertScaleAbs(values.astype(np.uint16, copy=False), alpha=255 / 65535)
    pixels = rows if layout.channels == 1 else rows.reshape(len(rows), width, layout.channels)
    return pixels if layout.conversion is None else cv2.cvtColor(pixels, layout.conversion)


def demosaic(encoding: str, mosaic: np.ndarray) -> np.ndarray:
    """
    Interpolate a Bayer mosaic.

    :param encoding: a bayer_* one.
    :param mosaic: (H, W) uint8.
    :return: (H, W, 3) uint8 RGB.
    """
    return cv2.cvtColor(mosaic, LAYOUTS[encoding].conversion)


def output_encoding(encoding: str) -> str:
    """Name the encoding of the derained image for an input encoding: its own colour order."""
    layout = LAYOUTS.get(encoding)
    blue_first = (cv2.COLOR_BGR2RGB, cv2.COLOR_BGRA2RGB)
    return 'bgr8' if layout is not None and layout.conversion in blue_first else 'rgb8'


def _nv24(rows: np.ndarray, width: int) -> np.ndarray:
    """Convert a plane of luma and one of chroma pairs, its rows and padding twice as long."""
    height, step = len(rows) // 3, rows.shape[1]
    luma = np.ascontiguousarray(rows[:height, :width])
    pairs = rows[height:].reshape(height, 2 * step)[:, :2 * width].reshape(height, width, 2)
    return cv2.transform(cv2.merge([luma, np.ascontiguousarray(pairs)]), _STUDIO)
