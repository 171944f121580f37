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

_THRESHOLD = 'MALLOC_MMAP_THRESHOLD_'
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
    Say that MALLOC_MMAP_THRESHOLD_ has glibc map new memory for each image; '' where it has not.

    :param image: bytes of the largest; 0 where it is not known.
    """
    value = environment.get(_THRESHOLD, '')
    if not value.isdecimal() or int(value) >= image:
        return ''
    return (f'{_THRESHOLD}={value} has glibc map new memory for every image ({image} bytes), '
            'which takes milliseconds: leave it unset, for the camera driver, too')
