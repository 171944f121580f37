# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Serialized headers, and the node's process as the demonstration handles it."""

import struct
import sys
import textwrap
import time
import xml.etree.ElementTree as ElementTree
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
from ubcn_ros.bags import client as replay
from ubcn_ros.bags.client import (
    DERAINED,
    LABELS,
    NoAnswerError,
    NodeProcess,
    Output,
    Peer,
    ReplayError,
    config_file,
    header_bytes,
    with_stamp,
)

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


class LossyPeer(Peer):
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
    monkeypatch.setattr(replay, '_LOST_SECONDS', 0.01)
    assert LossyPeer(lost).probe(IMAGE_BYTES) < 1.5


def test_an_image_that_never_comes_through_is_no_answer():
    with pytest.raises(NoAnswerError, match='a first image'):
        LossyPeer(range(100)).probe(IMAGE_BYTES, timeout=0.05)


@pytest.mark.integration
def test_a_recording_that_fails_is_told(tmp_path, monkeypatch):
    pytest.importorskip('rclpy')
    for name, value in replay.private_domain().items():
        monkeypatch.setenv(name, value)
    node, recorder = SimpleNamespace(check=lambda: None), BagWriter(tmp_path / 'file' / 'bag')
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match='/file/bag cannot be written: Not a directory'), \
            Peer(node, False, recorder) as peer:
        peer.recording = True
        peer._on_output(DERAINED, IMAGE_BYTES)


def test_the_profile_is_found_and_missing_files_are_named(monkeypatch):
    assert ElementTree.parse(config_file('fastdds.xml')).getroot().tag.endswith('dds')
    with pytest.raises(ReplayError, match='config/absent.xml is missing in'):
        config_file('absent.xml')
    domain = replay.private_domain()
    assert 1 <= int(domain['ROS_DOMAIN_ID']) <= 101
    assert domain['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run a Python program in the node's stead: `program(text)`."""
    python = sys.executable

    def start(text, **parameters):
        (tmp_path / 'stand_in.py').write_text(textwrap.dedent(text))
        launcher = tmp_path / 'python'
        launcher.write_text(f'#!/bin/sh\nexec {python} {tmp_path}/stand_in.py "$@"\n')
        launcher.chmod(0o755)
        monkeypatch.setattr(sys, 'executable', str(launcher))
        return NodeProcess(tmp_path / 'log', parameters, {'image': '/x'})
    return start


def test_parameters_keep_their_types_and_the_log_its_end(program):
    with program('import sys; print(*sys.argv[1:], sep="\\n")', model='007', iterations=2,
                 autostart=True) as node:
        assert node.process.wait(30) == 0
        with pytest.raises(ReplayError, match='ended by itself with exit code 0'):
            node.check()
    lines = node.log.read_text().splitlines()
    assert {'model:="007"', 'iterations:=2', 'autostart:=true', 'image:=/x'} <= set(lines)
    assert node.tail(2).splitlines() == lines[-2:]


def test_it_ends_by_the_signal_or_by_force(program):
    obedient = program("""
        import signal, sys, time
        signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
        print('ready', flush=True)
        time.sleep(60)""")
    _wait_for(obedient, 'ready')
    obedient.check()
    assert obedient.stop() == 3
    stubborn = program("""
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print('ready', flush=True)
        time.sleep(60)""")
    _wait_for(stubborn, 'ready')
    assert stubborn.stop(timeout=0.3) == -9


def _wait_for(node, text):
    end = time.monotonic() + 30
    while text not in node.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
