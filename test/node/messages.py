# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages made of arrays without ROS: each encoding written out from its definition."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np


def image(data: np.ndarray, encoding: str, height: int, width: int, padding: int = 0,
          bigendian: int = 0) -> SimpleNamespace:
    """Make what looks like a sensor_msgs/Image of rows of bytes, `padding` bytes after each."""
    rows = np.ascontiguousarray(data).view(np.uint8).reshape(data.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xa5)
    return SimpleNamespace(
        header=SimpleNamespace(frame_id='camera'), height=height, width=width, encoding=encoding,
        is_bigendian=bigendian, step=rows.shape[1], data=array.array('B', rows.tobytes()))


def compressed(data: bytes) -> SimpleNamespace:
    """Make what looks like a sensor_msgs/CompressedImage."""
    return SimpleNamespace(header=SimpleNamespace(frame_id='camera'), format='',
                           data=array.array('B', data))


def encode(rgb: np.ndarray, suffix: str) -> bytes:
    """Encode an image as '.jpg' or '.png'."""
    return cv2.imencode(suffix, rgb[..., ::-1])[1].tobytes()


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """Sample an image through a Bayer pattern, given row by row like 'rggb'."""
    sampled = np.empty(rgb.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        sampled[rows, columns] = rgb[rows, columns, 'rgb'.index(colour)]
    return sampled


def yuv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert to Y, U, V of ITU-R BT.601, studio range, each (H, W) uint8."""
    r, g, b = np.moveaxis(rgb.astype(float), 2, 0) / 255
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    planes = 16 + 219 * luma, 128 + 224 * (b - luma) / 1.772, 128 + 224 * (r - luma) / 1.402
    return tuple(np.rint(plane).astype(np.uint8) for plane in planes)


def sample(encoding: str, rgb: np.ndarray, padding: int = 0, bigendian: int = 0
           ) -> SimpleNamespace:
    """Write an image in an encoding; chroma and mosaics need one colour per 2 x 2 pixels."""
    height, width = rgb.shape[:2]
    if encoding in ('rgb8', 'bgr8'):
        data = rgb if encoding == 'rgb8' else rgb[..., ::-1]
    elif encoding in ('rgba8', 'bgra8'):
        alpha = np.full((height, width, 1), 77, np.uint8)
        data = np.concatenate([rgb if encoding == 'rgba8' else rgb[..., ::-1], alpha], 2)
    elif encoding == 'mono8':
        data = rgb[..., 0]
    elif encoding == 'mono16':
        data = (rgb[..., 0].astype(np.uint16) * 257).astype('>u2' if bigendian else '<u2')
    elif encoding.startswith('bayer_'):
        data = mosaic(rgb, encoding[len('bayer_'):-1])
    else:
        y, u, v = yuv(rgb)
        if encoding == 'nv12':
            chroma = np.stack([u[::2, ::2], v[::2, ::2]], 2).reshape(height // 2, width)
            data = np.concatenate([y, chroma])
        else:
            chroma = np.stack([u[:, ::2], v[:, ::2]], 2).reshape(height, width)
            order = [chroma, y] if encoding in ('yuv422', 'uyvy') else [y, chroma]
            data = np.stack(order, 2)
    return image(data, encoding, height, width, padding, bigendian)
