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
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xa5)
    if encoding == 'nv24':  # a row of chroma is twice as long, and so is its padding
        pairs = np.pad(rows[height:].reshape(height, -1), ((0, 0), (0, 2 * padding)),
                       constant_values=0xa5)
        padded[height:] = pairs.reshape(2 * height, -1)
    return SimpleNamespace(
        header=SimpleNamespace(frame_id='camera'), height=height, width=width, encoding=encoding,
        is_bigendian=bigendian, step=padded.shape[1], data=array.array('B', padded.tobytes()))


def compressed(data: bytes, format: str = '') -> SimpleNamespace:
    """Make what looks like a sensor_msgs/CompressedImage."""
    return SimpleNamespace(header=SimpleNamespace(frame_id='camera'), format=format,
                           data=array.array('B', data))


def encode(rgb: np.ndarray, suffix: str) -> bytes:
    """Encode an image (H, W, 3) or (H, W) as '.jpg', '.png' or another format."""
    return cv2.imencode(suffix, rgb[..., ::-1] if rgb.ndim == 3 else rgb)[1].tobytes()


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


def channels(name: str, rgb: np.ndarray) -> np.ndarray:
    """Order the channels of an image: rgb, bgr, rgba, bgra, mono or bayer_*."""
    if name.startswith('bayer_'):
        return mosaic(rgb, name.removeprefix('bayer_'))
    planes = {'r': rgb[..., 0], 'g': rgb[..., 1], 'b': rgb[..., 2],
              'a': np.full(rgb.shape[:2], 77, np.uint8)}
    return rgb[..., 0] if name == 'mono' else np.stack([planes[letter] for letter in name], 2)


def chroma(encoding: str, rgb: np.ndarray) -> np.ndarray:
    """Write luma and chroma in the order of an encoding."""
    (height, width), (y, u, v) = rgb.shape[:2], yuv(rgb)
    if encoding == 'nv24':
        return np.concatenate([y, np.stack([u, v], 2).reshape(2 * height, width)])
    if encoding.startswith('nv'):
        pair = [u[::2, ::2], v[::2, ::2]][::-1 if encoding == 'nv21' else 1]
        return np.concatenate([y, np.stack(pair, 2).reshape(height // 2, width)])
    pairs = np.stack([u[:, ::2], v[:, ::2]], 2).reshape(height, width)
    return np.stack([pairs, y] if encoding in ('yuv422', 'uyvy') else [y, pairs], 2)


def sample(encoding: str, rgb: np.ndarray, padding: int = 0, bigendian: int = 0
           ) -> SimpleNamespace:
    """Write an image in an encoding; chroma and mosaics need one colour per 2 x 2 pixels."""
    height, width = rgb.shape[:2]
    if encoding.startswith(('yuv', 'uyvy', 'yuyv', 'nv')):
        data = chroma(encoding, rgb)
    else:
        name = {'8UC1': 'mono8', '8UC3': 'bgr8', '8UC4': 'bgra8', '16UC1': 'mono16',
                '16UC3': 'bgr16', '16UC4': 'bgra16'}.get(encoding, encoding)
        data = channels(name.rstrip('0123456789'), rgb)
        if name.endswith('16'):
            # other values that round to the same, whose two bytes are not alike
            data = np.clip(257 * data.astype(int) + data % 201 - 100, 0, 65535)
            data = data.astype('>u2' if bigendian else '<u2')
    return image(data, encoding, height, width, padding, bigendian)
