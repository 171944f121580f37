# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Headers of serialized messages."""

import struct

import numpy as np
import pytest

from ubcn_ros.bags import IMAGE, create, deserialize, make_header, make_image, open_bag, stamp_ns
from ubcn_ros.bags.headers import header_bytes, header_stamp_ns, with_stamp


@pytest.fixture
def serialized(tmp_path):
    """A serialized image."""
    create([np.zeros((32, 40, 3), np.uint8)], tmp_path / 'bag', frame_id='front')
    with open_bag(tmp_path / 'bag') as reader:
        return next(reader.records()).data


def test_the_header_of_serialized_bytes_is_stamp_and_frame(serialized):
    assert header_bytes(serialized) == struct.pack('<iII', 1, 0, 6) + b'front\0'


def test_headers_differ_by_stamp_and_by_frame():
    from rosbags.typesys import Stores, get_typestore
    types = get_typestore(Stores.ROS2_JAZZY)
    pixels = np.zeros((32, 40), np.uint8)
    headers = {header_bytes(bytes(types.serialize_cdr(make_image(make_header(time, frame), pixels,
                                                                 'mono8'), IMAGE)))
               for time in (0, 1, 10**9) for frame in ('', 'a', 'b')}
    assert len(headers) == 9


def test_big_endian_messages_are_read_too():
    data = b'\0\0\0\0' + struct.pack('>iII', 5, 7, 2) + b'x\0' + b'rest'
    assert header_bytes(data) == data[4:18]
    assert header_stamp_ns(data) == 5_000_000_007
    assert header_bytes(with_stamp(data, 9)) == struct.pack('>iII', 9, 0, 2) + b'x\0'


def test_another_stamp_changes_nothing_else(serialized):
    before, after = (deserialize(data, IMAGE) for data in (serialized, with_stamp(serialized, 77)))
    assert stamp_ns(after.header) == 77 * 10**9
    assert after.header.frame_id == before.header.frame_id == 'front'
    assert np.array_equal(after.data, before.data) and after.step == before.step


def test_bytes_without_a_header_are_refused():
    for read in (header_bytes, header_stamp_ns):
        with pytest.raises(ValueError, match='7 bytes hold no header'):
            read(b'\0\1\0\0abc')


def test_a_frame_id_longer_than_the_message_is_refused(serialized):
    for length in (len(serialized) - 15, 2**32 - 1):
        damaged = serialized[:12] + struct.pack('<I', length) + serialized[16:]
        with pytest.raises(ValueError, match=f'hold no header with a frame_id of {length}'):
            header_bytes(damaged)
    whole = serialized[:12] + struct.pack('<I', len(serialized) - 16) + serialized[16:]
    assert header_bytes(whole) == whole[4:]
