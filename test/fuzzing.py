# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Messages and requests with something wrong with them, drawn at random; ROS-free.

In images one field in most, several in some, and now and then none: what is whole must be
processed.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from ubcn_ros.images.encodings import ENCODINGS, rows_and_bytes
from ubcn_ros.images.messages import MalformedImage, compressed_to_rgb, to_rgb
from ubcn_ros.node.parameters import SPECS

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
    if kind == 2:  # nothing, or no more of an image than its beginning, in front of anything
        junk = random.integers(0, 256, random.integers(0, 200), np.uint8).tobytes()
        return bytes(data[:random.choice((0, 4, 16))]) + junk
    if kind == 3:  # another size in a PNG's header, up to a decompression bomb
        data[16:24] = random.integers(0, 2**32, 2, np.uint32).tobytes()
    elif kind == 4:  # a piece twice, or left out
        at, size = random.integers(0, len(data)), random.integers(1, 200)
        data[at:at + size] = data[at:at + size] * (2 * int(random.integers(2)))
    else:  # damaged bytes, in the header for a half of them
        reach = len(data) if kind == 5 else 64
        for place in random.integers(0, min(reach, len(data)), random.integers(1, 9)):
            data[place] = random.integers(0, 256)
    return bytes(data)


def is_whole(message: Any, compressed: bool) -> bool:
    """Say whether an image can be read of a sensor_msgs/CompressedImage, else an Image."""
    try:
        (compressed_to_rgb if compressed else to_rgb)(message)
    except MalformedImage:
        return False
    return True


# label -> ids, as in lifecycle_msgs/Transition
TRANSITIONS = {'configure': (1,), 'activate': (3,), 'deactivate': (4,), 'cleanup': (2,),
               'shutdown': (5, 6, 7)}
_SHARES = (0.3, 0.5, 0.1, 0.09, 0.01)  # a node that is shut down has to be replaced


def any_transition(random: np.random.Generator) -> tuple[int, str]:
    """Draw the id and label of a request for a lifecycle transition: one, the other or both."""
    label = str(random.choice(list(TRANSITIONS), p=_SHARES))
    number = int(random.choice(TRANSITIONS[label]))
    any_id, any_label = int(random.integers(0, 256)), str(random.choice(_TEXTS))
    forms = ((number, ''), (number, ''), (0, label), (any_id, label), (number, any_label),
             (any_id, ''), (any_id, any_label))
    return forms[random.integers(len(forms))]


NOT_SET, BOOL, INTEGER, DOUBLE, STRING, BYTES, BOOLS, INTEGERS, DOUBLES, STRINGS = range(10)
"""Types of a parameter's value, as in rcl_interfaces/ParameterType."""
FIELDS = {BOOL: 'bool_value', INTEGER: 'integer_value', DOUBLE: 'double_value',
          STRING: 'string_value', BYTES: 'byte_array_value', BOOLS: 'bool_array_value',
          INTEGERS: 'integer_array_value', DOUBLES: 'double_array_value',
          STRINGS: 'string_array_value'}
"""type -> field of rcl_interfaces/ParameterValue that holds a value of it."""

_OF_TYPE: dict[int, tuple[Any, ...]] = {
    NOT_SET: (None,), BOOL: (False, True), INTEGER: (-2**63, -1, 0, 1, 11, 8193, 2**63 - 1),
    DOUBLE: (-1.0, 0.0, 0.5, 1e-300, 1e300, float('inf'), float('nan')),
    STRING: (*_TEXTS, 'auto', 'no such thing'), BYTES: ((), (b'\x00', b'\xff')),
    BOOLS: ((), (True, False)), INTEGERS: ((), (0, -1)), DOUBLES: ((), (float('nan'), 1.0)),
    STRINGS: ((), ('',), ('a', 'a'), ('no camera', ''))}
ACCEPTABLE: dict[str, tuple[tuple[int, Any], ...]] = {
    'iterations': ((INTEGER, 1), (INTEGER, 2), (INTEGER, 10)),
    'deadline_ms': ((DOUBLE, 0.0), (DOUBLE, 20.0), (INTEGER, 30)),
    'overlay_alpha': ((DOUBLE, 0.0), (INTEGER, 1)), 'max_failures': ((INTEGER, 0),),
    'processing_size': ((INTEGER, -1), (INTEGER, 0), (INTEGER, 64), (INTEGERS, (32,))),
    'min_confidence': ((DOUBLE, 0.0), (DOUBLE, 0.5), (INTEGER, 1)),
    'convergence': ((DOUBLE, 0.0), (DOUBLE, 0.5), (INTEGER, 1)),
    'input_transport': ((STRING, 'raw'), (STRING, 'compressed')), 'cameras': ((STRINGS, ()),),
    'warm_up_width': ((INTEGER, 0), (INTEGER, 64)), 'warm_up_height': ((INTEGER, 64),),
    'device': ((STRING, 'cpu'),), 'precision': ((STRING, 'auto'), (STRING, 'fp32')),
    'backend': ((STRING, 'auto'), (STRING, 'eager')),
    'use_sim_time': ((BOOL, False), (BOOL, True))}
"""Types and values with which a node can be configured, of some parameters; the usual first."""

_NAMES = (*(spec.name for spec in SPECS), 'use_sim_time', 'start_type_description_service', '',
          'unknown', 'qos_overrides./camera/image_raw.subscription.depth', 'é' * 300)


def any_parameter(random: np.random.Generator) -> tuple[str, int, Any]:
    """Draw a parameter's name, the type of its value, now and then one that is none, and value."""
    name = str(random.choice(_NAMES))
    if name in ACCEPTABLE and random.integers(2):
        return (name, *ACCEPTABLE[name][random.integers(len(ACCEPTABLE[name]))])
    kind = int(random.choice((*_OF_TYPE, random.integers(10, 256))))
    values = _OF_TYPE.get(kind, (None,))
    return name, kind, values[random.integers(len(values))]


def any_header(random: np.random.Generator) -> tuple[int, int, str]:
    """Draw the seconds, nanoseconds and frame_id of a header."""
    return (int(random.integers(-2**31, 2**31)), int(random.integers(0, 2**32)),
            str(random.choice(('', 'camera', *_TEXTS))))


_STEPS = {'image': 8, 'compressed': 5, 'unreadable': 1, 'camera_info': 2, 'clock': 2,
          'transition': 6, 'repeated transition': 1, 'set parameters': 4,
          'set parameters atomically': 2, 'query': 4}


def any_step(random: np.random.Generator) -> str:
    """Draw what to do next to a node: send a message of a kind, or ask for something."""
    shares = np.array(list(_STEPS.values()), float)
    return str(random.choice(list(_STEPS), p=shares / shares.sum()))
