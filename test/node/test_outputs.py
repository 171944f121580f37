# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs are worked out and published only while somebody subscribes."""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from fake_engine import FakeEngine, FakeLabels  # noqa: E402
from ros_client import CameraInfo, Image, picture, wait_until  # noqa: E402
from std_msgs.msg import Float32, Float64, Header, Int32  # noqa: E402

from ubcn_ros.node import outputs as outputs_module  # noqa: E402
from ubcn_ros.node.frames import FrameNumbers  # noqa: E402
from ubcn_ros.node.outputs import Outputs  # noqa: E402
from ubcn_ros.node.topics import (  # noqa: E402
    COLOR,
    CONFIDENCE,
    DEBUG_FRAME,
    DERAINED,
    DERAINED_INFO,
    ITERATIONS,
    LABELS,
    ON_DEMAND,
    OVERLAY,
    PIPELINE_LATENCY,
    PROCESSING_TIME,
    RAIN,
    RAIN_RATE,
    VISIBILITY,
)

HEADER = Header(frame_id='front_camera')
HEADER.stamp.sec = 42
NUMBERS = FrameNumbers(iterations=2, working_size=(360, 640), processing_ms=15.0,
                       latency_ms=20.5, deadline_ms=20.0, timings={'derain': 1.0})


@pytest.fixture
def node(ros):
    node = ros.create_node('outputs_test')
    yield node
    node.destroy_node()


@pytest.fixture
def outputs(node):
    outputs = Outputs(node, 'front/', FakeLabels(), lambda topic, policy: None)
    yield outputs
    outputs.destroy()


def subscribe(node, outputs, topic, kind=Image):
    received = []
    node.create_subscription(kind, f'front/{topic}', received.append, 10)
    wait_until(lambda: outputs.wanted(topic), topic)
    return received


def receive(ros, node, received):
    def arrived():
        ros.spin_once(node, timeout_sec=0.1)
        return received
    return wait_until(arrived, 'a message')[0]


def test_nothing_is_worked_out_that_nobody_listens_to(node, outputs):
    # whatever else is read of it is not there
    unread = SimpleNamespace(confidence=None, derained=None, labels=None)
    assert not outputs.any_wanted()
    outputs.publish(HEADER, unread, 'rgb8', 0.5)
    outputs.publish_numbers(HEADER, NUMBERS, '/front/image')
    subscribe(node, outputs, ITERATIONS, Int32)
    assert outputs.any_wanted()
    outputs.publish(HEADER, unread, 'rgb8', 0.5)


def test_who_subscribes_after_the_engine_was_asked_gets_the_next_frame(ros, node, outputs):
    late = [subscribe(node, outputs, topic) for topic in (DERAINED, OVERLAY, CONFIDENCE)]
    labels = subscribe(node, outputs, LABELS)
    outputs.publish(HEADER, FakeEngine()(picture(), derained=False), 'rgb8', 0.5)
    receive(ros, node, labels)
    assert late == [[], [], []]
    labels.clear()
    late += [labels, subscribe(node, outputs, COLOR)]
    outputs.publish(HEADER, FakeEngine()(picture(), labels=False), 'rgb8', 0.5)
    receive(ros, node, late[0])
    assert late[1:] == [[], [], [], []]


def test_what_a_controller_waits_for_goes_first(node, monkeypatch):
    order = []  # each takes half a second to publish
    outputs = Outputs(node, 'front/', FakeLabels(), lambda topic, policy: None)
    monkeypatch.setattr(outputs_module, 'time', SimpleNamespace(
        monotonic=lambda: 0.5 * len(order)))
    monkeypatch.setattr(outputs_module, 'native_images', lambda message: None)
    try:
        publishers = {publisher.topic_name: publisher for publisher in node.publishers}
        for topic in (OVERLAY, COLOR, CONFIDENCE, DERAINED, LABELS):
            subscribe(node, outputs, topic)
            monkeypatch.setattr(publishers[f'/front/{topic}'], 'publish',
                                lambda message, topic=topic: order.append(topic))
        filling = outputs.publish(HEADER, FakeEngine()(picture(), confidence=True), 'rgb8', 0.5)
    finally:
        outputs.destroy()
    assert order[:2] == [LABELS, DERAINED] and len(order) == 5
    assert filling == 0, 'all of the time went into publishing'


@pytest.mark.parametrize('topic, encoding', [
    (DERAINED, 'bgr8'), (LABELS, 'mono8'), (COLOR, 'rgb8'), (CONFIDENCE, 'mono8'),
    (OVERLAY, 'rgb8')])
@pytest.mark.parametrize('by', ['rcl', 'rclpy'])
def test_what_somebody_listens_to_is_published(ros, node, outputs, topic, encoding, by,
                                               monkeypatch):
    if by == 'rclpy':
        monkeypatch.setattr(outputs_module, 'native_images', lambda message: None)
    received = subscribe(node, outputs, topic)
    frame = FakeEngine()(picture(), confidence=True)
    outputs.publish(HEADER, frame, 'bgr8', 0.25)
    message = receive(ros, node, received)
    assert (message.header, message.encoding) == (HEADER, encoding)
    pixels = np.frombuffer(message.data, np.uint8).reshape(48, 64, -1).squeeze()
    color = FakeLabels().colorize(frame.labels)
    expected = {DERAINED: frame.derained[..., ::-1], LABELS: frame.labels, COLOR: color,
                CONFIDENCE: frame.confidence, OVERLAY: 0.75 * frame.derained + 0.25 * color}
    assert np.abs(pixels - expected[topic].astype(float)).max() <= 0.5


def test_the_numbers_of_a_frame_are_published_under_its_stamp(ros, node, outputs):
    frames = subscribe(node, outputs, DEBUG_FRAME, DiagnosticArray)
    iterations = subscribe(node, outputs, ITERATIONS, Int32)
    times = [subscribe(node, outputs, topic, Float64)
             for topic in (PROCESSING_TIME, PIPELINE_LATENCY)]
    outputs.publish_numbers(HEADER, NUMBERS, '/front/image')
    assert receive(ros, node, iterations).data == 2
    assert [receive(ros, node, received).data for received in times] == [15.0, 20.5]
    frame = receive(ros, node, frames)
    assert frame.header == HEADER
    status, = frame.status
    assert {item.key: item.value for item in status.values} == {
        'iterations': '2', 'processing size': '640x360', 'deadline (ms)': '20',
        'pipeline latency (ms)': '20.500',
        'processing time (ms)': '15.000', 'derain (ms)': '1.000'}
    assert (status.name, status.hardware_id, status.message, ord(status.level)) == (
        'front', '/front/image', 'deadline missed', 1)


def test_the_share_of_unlabeled_pixels_is_in_the_numbers(ros, node, outputs):
    frames = subscribe(node, outputs, DEBUG_FRAME, DiagnosticArray)
    outputs.publish_numbers(HEADER, replace(NUMBERS, unlabeled=0.125), '/front/image')
    status, = receive(ros, node, frames).status
    assert {item.key: item.value for item in status.values}['unlabeled (%)'] == '12.50'


def test_what_a_model_tells_of_the_rain_is_in_the_numbers_and_on_topics_of_its_own(ros, node):
    outputs = Outputs(node, 'front/', FakeLabels(), lambda topic, policy: None, rain=True)
    try:
        frames = subscribe(node, outputs, DEBUG_FRAME, DiagnosticArray)
        numbers = replace(NUMBERS, rain=SimpleNamespace(rate=12.5, visibility=800.25))
        found = [subscribe(node, outputs, topic, Float32) for topic in (RAIN_RATE, VISIBILITY)]
        assert outputs.any_wanted()
        outputs.publish_numbers(HEADER, numbers, '/front/image')
        assert [receive(ros, node, received).data for received in found] == [12.5, 800.25]
        status, = receive(ros, node, frames).status
        values = {item.key: item.value for item in status.values}
        assert (values['rain rate (mm/hr)'], values['visibility (m)']) == ('12.50', '800.2')
    finally:
        outputs.destroy()


def test_a_model_that_tells_nothing_of_the_rain_has_no_topics_for_it(node, outputs):
    published = {name for name, _ in node.get_publisher_names_and_types_by_node(
        'outputs_test', '/')}
    assert '/front/derained/image_raw' in published
    assert not [name for name in published if '/rain/' in name]
    assert not outputs.wanted(RAIN_RATE) and not outputs.wanted(VISIBILITY)


def test_camera_info_is_passed_on_under_the_header_of_the_image(ros, node, outputs):
    received = subscribe(node, outputs, DERAINED_INFO, CameraInfo)
    frame = FakeEngine()(picture())
    outputs.publish(Header(), frame, 'rgb8', 0.5)  # before any camera info: nothing to pass on
    given = CameraInfo(width=64, distortion_model='plumb_bob', header=Header(frame_id='other'))
    outputs.pass_on(given)
    outputs.publish(HEADER, frame, 'rgb8', 0.5)
    info = receive(ros, node, received)
    assert info.header == HEADER and info.distortion_model == 'plumb_bob'
    assert outputs.camera_info(HEADER).header.frame_id == 'other', 'it says whose it is'


def test_camera_info_of_the_images_stamp_goes_before_newer_ones(ros, node, outputs):
    """As when a camera changes its size or zooms while a frame is processed."""
    received = subscribe(node, outputs, DERAINED_INFO, CameraInfo)
    frame = FakeEngine()(picture())
    for number in range(200):
        outputs.pass_on(CameraInfo(header=stamped(number), width=1000 + number))
    for number, width in ((198, 1198), (199, 1199), (150, 1150), (3, 1199), (500, 1199)):
        outputs.publish(stamped(number), frame, 'rgb8', 0.5)
        info = receive(ros, node, received)
        assert (info.header, info.width) == (stamped(number), width)
        received.clear()


def test_the_camera_info_of_a_frame_in_hand_is_kept_however_many_come_meanwhile(outputs):
    outputs.pass_on(CameraInfo(header=stamped(3), width=1003))
    before, after = (outputs.keep_info(stamped(number)) for number in (3, 5))
    assert outputs.keep_info(stamped(3)) is before  # as of images without a stamp
    for number in range(4, 2004):
        outputs.pass_on(CameraInfo(header=stamped(number), width=1000 + number))
    assert [outputs.camera_info(stamped(number)).width for number in (3, 5, 7)] == [
        1003, 1005, 3003]
    del before, after
    assert [outputs.camera_info(stamped(number)).width for number in (3, 5)] == [3003, 3003]


def stamped(number):
    """Return the header of a frame of a camera of 25 Hz."""
    made = Header(frame_id='camera')
    made.stamp.sec, made.stamp.nanosec = number // 25, number % 25 * 40_000_000
    return made


def test_label_info_names_the_classes(node, monkeypatch):
    if outputs_module.LabelInfo is None:  # vision_msgs cannot be had as a wheel: its fields
        monkeypatch.setattr(outputs_module, 'LabelInfo', lambda: SimpleNamespace(
            header=Header(), class_map=[], threshold=0.0))
        monkeypatch.setattr(outputs_module, 'VisionClass', SimpleNamespace)
    message = outputs_module.label_info(FakeLabels(), 0.25, node.get_clock().now())
    assert message.threshold == 0.25
    assert [(item.class_id, item.class_name) for item in message.class_map] == \
        list(enumerate(FakeLabels.classes))


@pytest.mark.parametrize('topic, name', {**ON_DEMAND, **RAIN}.items())
def test_every_output_that_is_declared_is_published(ros, node, topic, name):
    kind = getattr(import_module(name.rpartition('/')[0].replace('/', '.')), name.split('/')[-1])
    outputs = Outputs(node, 'front/', FakeLabels(), lambda topic, policy: None, rain=True)
    try:
        received = subscribe(node, outputs, topic, kind)
        outputs.pass_on(CameraInfo())
        outputs.publish(HEADER, FakeEngine()(picture(), confidence=True), 'rgb8', 0.5)
        rain = SimpleNamespace(rate=12.5, visibility=800.0)
        outputs.publish_numbers(HEADER, replace(NUMBERS, rain=rain), '/front/image')
        receive(ros, node, received)
    finally:
        outputs.destroy()
