# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check the images, numbers and names that a caller gives the engine."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ubcn_ros.images.malformed import MIN_SIDE


def check_number(name: str, value: Any, low: float, high: float, also: tuple[int, ...] = (),
                 whole: bool = False) -> None:
    """
    Raise ValueError unless a value is a number in its range.

    :param name: of the argument.
    :param value: what was given; NaN is in no range, and a bool is not a number.
    :param low, high: least and largest value, included; the largest may be infinite.
    :param also: values outside the range that are allowed, too.
    :param whole: whether it has to be an integer.
    """
    fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if fits and (value in also or low <= value <= high):
        return
    listed = ''.join(f'{number}, ' for number in also) + ('or ' if also else '')
    limits = f'{low:g} or more' if high == math.inf else f'{low:g} to {high:g}'
    why = ', which is not an integer' if whole and isinstance(value, float) else ''
    raise ValueError(f'{name} must be {listed}{limits}, got {value!r}{why}')


def check_device_name(device: Any) -> None:
    """Raise ValueError unless it is 'auto', 'cpu', 'cuda' or 'cuda:N'; it may not be there."""
    if not re.fullmatch('auto|cpu|cuda(:[0-9]{1,3})?', str(device)):
        raise ValueError(f"unknown device {str(device)!r}: choose 'auto', 'cpu', 'cuda' or "
                         "'cuda:N'")


def check_batch(images: Sequence[np.ndarray]) -> None:
    """Raise ValueError unless the images can be processed, and are of one size."""
    for image in images:
        check_image(image)
    if len({image.shape for image in images}) != 1:
        sizes = ', '.join(f'{image.shape[1]}x{image.shape[0]}' for image in images)
        raise ValueError(f'a batch takes images of one size, got {sizes or "none"}: process '
                         'them one by one')


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless the image is (H, W, 3) uint8 with H and W from 32 up."""
    if not isinstance(image, np.ndarray):
        raise ValueError('expected an image as a NumPy array of shape (H, W, 3), RGB, got '
                         f'{type(image).__module__}.{type(image).__qualname__}')
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'expected an image of shape (H, W, 3), RGB, got {image.shape}')
    if image.dtype != np.uint8:
        raise ValueError(f'expected an image of uint8, got {image.dtype}: scale to 0..255 and '
                         'convert it')
    if min(image.shape[:2]) < MIN_SIDE:
        raise ValueError(f'an image of {image.shape[1]}x{image.shape[0]} is too small: '
                         f'{MIN_SIDE}x{MIN_SIDE} is the least')
