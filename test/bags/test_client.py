# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The client of the node: serialized headers, images that get lost, and its recording."""

import struct
import time
from types import SimpleNamespace

import numpy as np
import pytest

from ubcn_ros.bags import (
    IMAGE,
    BagError,
    BagWriter,
    create,
    make_header,
    make_image,
    open_bag,
    stamp_ns,
)
from ubcn_ros.bags.client import (
    DERAINED,
    LABELS,
    Client,
    NoAnswerError,
    Output,
    header_bytes,
    with_stamp,
)
from ubcn_ros.bags.node_process import private_domain

IMAGE_BYTES = b'\0\1\0\0' + struct.pack('<iII', 1, 0, 2) + b'x\0' + bytes(8)


@pytest.fixture
def serialized(tmp_path):
    """A serialized image, and what turns it back into a message."""
    create([np.zeros((32, 40, 3), np.uint8)], tmp_path / 'bag', frame_id='front')
    with open_bag(tmp_path / 'bag') as reader:
        yield (next(bytes(data) for _, _, data in reader.messages()),
               lambda data: reader.deserialize(data, IMAGE))


def test_the_header_of_serialized_bytes_is_stamp_and_frame(serialized):
    data, _ = serialized
    assert header_bytes(data) == struct.pack('<iII', 1, 0, 6) + b'front\0'


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
    assert header_bytes(with_stamp(data, 9)) == struct.pack('>iII', 9, 0, 2) + b'x\0'


def test_another_stamp_changes_nothing_else(serialized):
    data, deserialize = serialized
    before, after = deserialize(data), deserialize(with_stamp(data, 77))
    assert stamp_ns(after.header) == 77 * 10**9
    assert after.header.frame_id == before.header.frame_id == 'front'
    assert np.array_equal(after.data, before.data) and after.step == before.step


def test_bytes_without_a_header_are_refused():
    with pytest.raises(ValueError, match='7 bytes hold no header'):
        header_bytes(b'\0\1\0\0abc')


class LossyClient(Client):
    """Of the images that are published those with the numbers in ``lost`` get no answer."""

    def __init__(self, lost):
        self.outputs, self.lost, self.published = [], lost, 0

    def publish(self, data):
        if self.published not in self.lost:
            self.outputs += [Output(topic, header_bytes(data), time.monotonic())
                             for topic in (DERAINED, LABELS)]
        self.published += 1
        return time.monotonic()

    def check(self):
        pass


@pytest.mark.parametrize('lost', [{0}, {2}, {1, 2, 3}])
def test_a_lossy_transport_is_probed_by_what_comes_through(monkeypatch, lost):
    monkeypatch.setattr('ubcn_ros.bags.client._LOST_SECONDS', 0.01)
    assert LossyClient(lost).probe(IMAGE_BYTES) < 1.5


def test_an_image_that_never_comes_through_is_no_answer():
    with pytest.raises(NoAnswerError, match='a first image'):
        LossyClient(range(100)).probe(IMAGE_BYTES, timeout=0.05)


@pytest.mark.integration
def test_a_recording_that_fails_is_told(tmp_path, monkeypatch):
    pytest.importorskip('rclpy')
    from sensor_msgs.msg import Image
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    node, recorder = SimpleNamespace(check=lambda: None), BagWriter(tmp_path / 'file' / 'bag')
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match='/file/bag cannot be written: Not a directory'), \
            Client(node, False, recorder) as client:
        client.recording = True
        publisher = client.node.create_publisher(Image, DERAINED, 1)
        client.wait(publisher.get_subscription_count, 'the subscription', 10.0)
        publisher.publish(IMAGE_BYTES)
        client.wait(lambda: client.outputs, 'the output', 10.0)
