# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Image messages with something wrong with them, drawn at random; ROS-free.

One field in most, several in some, and now and then none: what is whole must be processed.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from ubcn_ros.images.encodings import ENCODINGS, rows_and_bytes

_EDGES = (0, 1, 31, 32, 33, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
_TEXTS = ('', 'RGB8', 'rgb8 ', '8UC2', '16SC1', '32FC1', 'jpeg', 'rgb8; drop', '\x00', 'é' * 300,
          'bayer_xxxx8', 'nv21', 'mono')
_MOST = 1 << 16  # bytes of data


def any_image(random: np.random.Generator) -> dict[str, Any]:
    """Draw the fields of a sensor_msgs/Image but its header, most often malformed."""
    encoding = str(random.choice(ENCODINGS))
    height, width = (2 * int(n) for n in random.integers(16, 36, 2))
    rows, row_bytes = rows_and_bytes(encoding, height, width)
    step = row_bytes + int(random.choice((0, 0, 0, 1, 16)))
    length = step * rows
    fields = {'height': height, 'width': width, 'encoding': encoding, 'is_bigendian': 0,
              'step': step, 'data': length}
    for _ in range(int(random.choice((0, 1, 1, 1, 2, 4)))):
        name = str(random.choice(list(fields)))
        fields[name] = _WRONG[name](random, fields[name])
    length = min(max(fields['data'], 0), _MOST)
    fields['data'] = array.array('B', random.integers(0, 256, length, np.uint8).tobytes())
    return fields


def _number(random: np.random.Generator, value: int) -> int:
    """Draw an edge, a neighbour, a multiple or anything of 32 bits."""
    return int(random.choice((random.choice(_EDGES), value - 1, value + 1, value * 2, value // 2,
                              random.integers(0, 2**32)))) % 2**32


_WRONG: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    'height': _number, 'width': _number, 'step': _number,
    'encoding': lambda random, _: str(random.choice(_TEXTS)),
    'is_bigendian': lambda random, _: int(random.integers(0, 256)),
    'data': lambda random, length: int(random.choice(
        (0, 1, length - 1, length + 1, length // 2, length * 2, random.integers(0, _MOST)))),
}


def any_compressed(random: np.random.Generator) -> bytes:
    """Draw the data of a sensor_msgs/CompressedImage, most often damaged."""
    height, width = (int(n) for n in random.choice((8, 32, 40, 64), 2))
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    data = bytearray(cv2.imencode(str(random.choice(('.jpg', '.png'))), image)[1].tobytes())
    kind = random.integers(0, 8)
    if kind == 0:
        return bytes(data)
    if kind == 1:  # cut short
        return bytes(data[:random.integers(0, len(data))])
    if kind == 2:  # no image at all
        return random.integers(0, 256, random.integers(0, 200), np.uint8).tobytes()
    if kind == 3:  # another size in a PNG's header, up to a decompression bomb
        data[16:24] = random.integers(0, 2**32, 2, np.uint32).tobytes()
    elif kind == 4:  # a piece twice, or left out
        at, size = random.integers(0, len(data)), random.integers(1, 200)
        data[at:at + (0 if random.integers(2) else size)] = data[at:at + size]
    else:  # damaged bytes, in the header for a half of them
        reach = len(data) if kind == 5 else 64
        for place in random.integers(0, min(reach, len(data)), random.integers(1, 9)):
            data[place] = random.integers(0, 256)
    return bytes(data)
