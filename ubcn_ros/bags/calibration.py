# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read the calibration of a camera as ROS's camera_calibration writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.messages import CAMERA_INFO, TYPES, make_header

_REMEDY = 'give the YAML file that camera_calibration writes'
_MATRICES = {'camera_matrix': (3, 3), 'rectification_matrix': (3, 3), 'projection_matrix': (3, 4)}


def read_calibration(path: Path | str) -> Any:
    """
    Read a calibration file (camera_info YAML) as a sensor_msgs/CameraInfo with an empty header.

    Without a rectification matrix it is the identity, without a projection matrix the camera's.

    :raises BagError: it cannot be read, or something in it is missing or of another size.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except Exception as error:  # a dozen types: of the file, its text, dates, numbers and depth
        raise BagError(f'{path} cannot be read as a calibration: {reason(error)}; {_REMEDY}'
                       ) from error
    try:
        if not isinstance(content, dict):
            raise ValueError('it is not a mapping')
        height, width = (_size(content, name) for name in ('image_height', 'image_width'))
        k, r, p = (_matrix(content, name, shape) for name, shape in _MATRICES.items())
        if k is None:
            raise ValueError('camera_matrix is missing')
        if r is None:
            r = np.eye(3).reshape(-1)
        if p is None:
            p = np.hstack([k.reshape(3, 3), np.zeros((3, 1))]).reshape(-1)
        d = _matrix(content, 'distortion_coefficients', None)
        model = str(content.get('distortion_model') or 'plumb_bob')
    except ValueError as error:
        raise BagError(f'{path} is not a calibration: {error}; {_REMEDY}') from error
    region = TYPES.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return TYPES.types[CAMERA_INFO](make_header(0, ''), height, width, model,
                                    np.zeros(0) if d is None else d, k, r, p, 0, 0, region)


def _size(content: dict, name: str) -> int:
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f'{name} is {value!r}, not a number of pixels')
    return value


def _matrix(content: dict, name: str, shape: tuple[int, int] | None) -> np.ndarray | None:
    """Return the numbers of a matrix row by row, None where it is missing."""
    if name not in content:
        return None
    matrix = content[name]
    try:
        data = np.array(matrix['data'] if isinstance(matrix, dict) else matrix, np.float64)
        data = data.reshape(-1)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f'{name} has no data of numbers') from error
    if not np.isfinite(data).all() or (shape and data.size != shape[0] * shape[1]):
        wanted = f'{shape[0]} x {shape[1]} ' if shape else ''
        raise ValueError(f'{name} is not {wanted}finite numbers')
    return data
