# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How glibc handles the memory of images and tensors, mallopt(3).

By itself it learns to keep freed blocks, but none above 32 MiB, as tensors of a camera's images
are: each of those is new from the kernel, page by page.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

_VARIABLE, _TUNABLE = 'MALLOC_MMAP_THRESHOLD_', 'glibc.malloc.mmap_threshold'
_SETTINGS = (  # of malloc.h
    (-8, 1),  # M_ARENA_MAX: those of threads have no room for such blocks
    (-4, 0),  # M_MMAP_MAX: no block is mapped by itself,
    (-1, -1))  # M_TRIM_THRESHOLD: and none is given back


def keep_freed_memory(environment: Mapping[str, str]) -> bool:
    """
    Have glibc keep what is freed for the next tensor, in this process from now on.

    The process then stays as large as it ever was, until ``give_back_freed_memory``. What the
    environment says of malloc stays.

    :param environment: of the process.
    :return: whether it does; False without glibc, too.
    """
    if (any(name.startswith('MALLOC_') for name in environment)
            or 'glibc.malloc.' in environment.get('GLIBC_TUNABLES', '')):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and all([mallopt(*setting) for setting in _SETTINGS])


def give_back_freed_memory() -> None:
    """Give what is freed back to the system, now."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def explain_malloc(image: int, environment: Mapping[str, str]) -> str:
    """
    Say which setting has glibc map new memory for each image, and the remedy; '' for none.

    :param image: bytes of the largest; 0 where it is not known.
    """
    tunables = dict(item.split('=', 1) for item in
                    environment.get('GLIBC_TUNABLES', '').split(':') if '=' in item)
    for name, value in ((_VARIABLE, environment.get(_VARIABLE)),
                        (f'GLIBC_TUNABLES={_TUNABLE}', tunables.get(_TUNABLE))):
        if value and (size := _number(value)) is not None and 0 <= size < image:
            return (f'{name}={value} has glibc map new memory for every image ({image} bytes), '
                    'which takes milliseconds: leave it unset, for the camera driver, too')
    return ''


def _number(text: str) -> int | None:
    """Read a number as glibc does: decimal, 0x for hexadecimal, 0 for octal; None: it is none."""
    base = 16 if text.lower().startswith('0x') else 8 if text.startswith('0') else 10
    try:
        return int(text, base)
    except ValueError:
        return None
