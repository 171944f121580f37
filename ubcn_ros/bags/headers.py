# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read and replace the std_msgs/Header at the start of a serialized message.

Layout (OMG DDS-XTypes, plain CDR): 4 bytes of encapsulation, stamp as int32 and uint32, frame_id
as its length with the closing zero, uint32, and its characters.
"""

from __future__ import annotations

import struct


def header_bytes(data: bytes) -> bytes:
    """
    Return the serialized header at the start of a message, without the encapsulation.

    :raises ValueError: the message has fewer bytes than its header.
    """
    (length,) = struct.unpack_from(_order(data) + 'I', data, 12)
    if 16 + length > len(data):
        raise ValueError(f'{len(data)} bytes hold no header with a frame_id of {length}')
    return bytes(data[4:16 + length])


def header_stamp_ns(data: bytes) -> int:
    """
    Return the stamp at the start of a message, nanoseconds.

    :raises ValueError: the message has fewer than 16 bytes.
    """
    seconds, nanoseconds = struct.unpack_from(_order(data) + 'iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def with_stamp(data: bytes, second: int) -> bytes:
    """
    Return a serialized message with another stamp, whole seconds.

    :raises ValueError: the message has fewer than 16 bytes.
    """
    return bytes(data[:4]) + struct.pack(_order(data) + 'iI', second, 0) + bytes(data[12:])


def _order(data: bytes) -> str:
    """Name the order of bytes as `struct` does."""
    if len(data) < 16:
        raise ValueError(f'{len(data)} bytes hold no header')
    return '<' if data[1] & 1 else '>'
