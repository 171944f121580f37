# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Say that glibc is told to handle the memory of images slowly; ROS-free.

By itself it learns to keep blocks of the size of images (mallopt(3), M_MMAP_THRESHOLD); a value
that is set is kept, and where it is below an image, every copy's memory is new from the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

_VARIABLE, _TUNABLE = 'MALLOC_MMAP_THRESHOLD_', 'glibc.malloc.mmap_threshold'


def explain_malloc(image: int, environment: Mapping[str, str]) -> str:
    """
    Say which setting makes each image's memory new, and what to do; '' where none does.

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
