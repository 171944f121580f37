# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The client of the node: images that get lost, and its recording."""

import struct
import time
from types import SimpleNamespace

import pytest

from ubcn_ros.bags import BagError
from ubcn_ros.bags.headers import header_bytes
from ubcn_ros.bags.live.client import DERAINED, LABELS, Client, NoAnswerError, Output
from ubcn_ros.bags.live.node_process import private_domain

IMAGE_BYTES = b'\0\1\0\0' + struct.pack('<iII', 1, 0, 2) + b'x\0' + bytes(8)


class LossyClient(Client):
    """Of the images that are published those with the numbers in ``lost`` get no answer."""

    def __init__(self, lost):
        self.outputs, self.lost, self.published = [], lost, 0
        self._taken = {DERAINED, LABELS}

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
    monkeypatch.setattr('ubcn_ros.bags.live.client._LOST_SECONDS', 0.01)
    assert LossyClient(lost).probe(IMAGE_BYTES) < 1.5


def test_an_image_that_never_comes_through_is_no_answer():
    with pytest.raises(NoAnswerError, match='a first image'):
        LossyClient(range(100)).probe(IMAGE_BYTES, timeout=0.05)


def test_a_lost_image_is_waited_for_no_longer_than_a_slow_one(monkeypatch):
    monkeypatch.setattr('ubcn_ros.bags.live.client._LOST_SECONDS', 0.01)
    client = LossyClient({0})
    client.publish(IMAGE_BYTES)
    start = time.monotonic()
    client.wait_for_answer(header_bytes(IMAGE_BYTES), 0.02)
    assert 0.08 <= time.monotonic() - start < 4.0, 'not four times a second'
    client.publish(IMAGE_BYTES)
    client.wait_for_answer(header_bytes(IMAGE_BYTES), 1e6)


@pytest.mark.integration
def test_a_recording_that_fails_is_told(monkeypatch):
    pytest.importorskip('rclpy')
    from sensor_msgs.msg import Image
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)

    def fail(*_):
        raise BagError('the disk is full')

    node, recorder = SimpleNamespace(check=lambda: None), SimpleNamespace(write_message=fail)
    with pytest.raises(BagError, match='the disk is full'), \
            Client(node, False, recorder) as client:
        client.recording = True
        publisher = client.node.create_publisher(Image, DERAINED, 1)
        client.wait(publisher.get_subscription_count, 'the subscription', 10.0)
        publisher.publish(IMAGE_BYTES)
        client.wait(lambda: client.outputs, 'the output', 10.0)
