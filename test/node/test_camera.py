# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs are worked out only while somebody subscribes; the engine is asked what is set."""

import re
import threading
import time
from types import SimpleNamespace

import messages
import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from ros_peer import (  # noqa: E402
    CameraInfo,
    CompressedImage,
    Image,
    image_message,
    picture,
    wait_until,
)
from stand_in import StandInEngine, StandInLabels  # noqa: E402
from std_msgs.msg import Float64, Header, Int32  # noqa: E402

from ubcn_ros.images import overlay as visualize  # noqa: E402
from ubcn_ros.node import camera as camera_module  # noqa: E402
from ubcn_ros.node.camera import (  # noqa: E402
    CAMERA_INFO,
    COLOR,
    CONFIDENCE,
    DEBUG_FRAME,
    DERAINED,
    ITERATIONS,
    LABELS,
    OVERLAY,
    PIPELINE_LATENCY,
    Arrival,
    Camera,
)
from ubcn_ros.node.diagnostics import Level  # noqa: E402
from ubcn_ros.node.parameters import Settings  # noqa: E402
from ubcn_ros.node.recovery import infer  # noqa: E402


@pytest.fixture
def node(ros):
    node = ros.create_node('camera_test')
    yield node
    node.destroy_node()


@pytest.fixture
def camera(node):
    camera = Camera(node, threading.Condition(), StandInLabels(), 'front/')
    camera.open('raw')
    yield camera
    camera.destroy()


def process(camera, engine, message=None, **settings):
    handle(camera, engine, Settings.of(settings),
           Arrival(message or image_message(), time.monotonic()))


def handle(camera, engine, settings, arrival):
    """Take an image through as the node does; return whether the engine was asked."""
    job = camera.prepare(settings, arrival)
    if job is None:
        return False
    outcome, = infer(engine, [job.image], settings.iterations, job.deadline, job.confidence)
    camera.finish(job, outcome, settings)
    return True


def subscribe(node, camera, topic, kind=Image):
    received = []
    node.create_subscription(kind, f'front/{topic}', received.append, 10)
    wait_until(lambda: camera._publishers[topic].get_subscription_count(), topic)
    return received


def receive(ros, node, received):
    def arrived():
        ros.spin_once(node, timeout_sec=0.1)
        return received
    return wait_until(arrived, 'a message')[0]


def test_nothing_is_worked_out_while_nobody_listens(camera, monkeypatch):
    monkeypatch.setattr(visualize, 'overlay', lambda *_: pytest.fail('overlay'))
    monkeypatch.setattr(camera_module, 'fill_image', lambda *_: pytest.fail('fill_image'))
    monkeypatch.setattr(StandInLabels, 'colorize', lambda *_: pytest.fail('colorize'))
    monkeypatch.setattr(camera_module, 'to_rgb', lambda *_: pytest.fail('to_rgb'))
    engine = StandInEngine()
    for _ in range(3):
        camera._on_image(image_message(), {})
        process(camera, engine, camera.mailbox.take().message)
    assert not engine.calls
    report = camera.report()
    assert report.message.startswith('idle: nobody subscribes to an output')
    assert (report.values['dropped (idle)'], report.values['dropped']) == ('3', '3')
    assert report.values['received'] == '3' and report.values['processed'] == '0'


def test_only_what_somebody_listens_to_is_worked_out(node, camera, monkeypatch):
    monkeypatch.setattr(visualize, 'overlay', lambda *_: pytest.fail('overlay'))
    monkeypatch.setattr(camera_module, 'fill_image', lambda *_: pytest.fail('fill_image'))
    monkeypatch.setattr(StandInLabels, 'colorize', lambda *_: pytest.fail('colorize'))
    subscribe(node, camera, ITERATIONS, Int32)
    engine = StandInEngine()
    process(camera, engine)
    assert not engine.calls[0]['confidence']
    assert camera.statistics.processed == 1


def test_the_size_is_read_without_converting(node, camera):
    assert camera.size(Arrival(image_message(rgb=picture(50, 70)), 0.0)) == (50, 70)
    camera.close()
    camera.open('compressed')
    jpeg = CompressedImage(data=messages.encode(picture(40, 60), '.jpg'))
    assert camera.size(Arrival(jpeg, 0.0)) == (40, 60)
    assert camera.size(Arrival(CompressedImage(data=b'no image'), 0.0)) is None


@pytest.mark.parametrize('topic', [DERAINED, LABELS, COLOR, CONFIDENCE, OVERLAY])
def test_what_somebody_listens_to_is_published(ros, node, camera, topic):
    received = subscribe(node, camera, topic)
    engine, message = StandInEngine(), image_message()
    process(camera, engine, message)
    assert receive(ros, node, received).header == message.header
    assert engine.calls[0]['confidence'] == (topic == CONFIDENCE)


def test_the_numbers_of_a_frame_are_published_under_its_stamp(ros, node, camera):
    frames = subscribe(node, camera, DEBUG_FRAME, DiagnosticArray)
    iterations = subscribe(node, camera, ITERATIONS, Int32)
    latencies = subscribe(node, camera, PIPELINE_LATENCY, Float64)
    message = image_message(42)
    handle(camera, StandInEngine(), Settings.of({'iterations': 2, 'deadline_ms': 20}),
           Arrival(message, time.monotonic() - 0.1))
    assert receive(ros, node, iterations).data == 2
    latency = receive(ros, node, latencies).data
    assert 100 <= latency < 10_000
    frame = receive(ros, node, frames)
    assert frame.header == message.header
    status, = frame.status
    values = {item.key: item.value for item in status.values}
    assert (values['iterations'], values['deadline (ms)']) == ('2', '20')
    assert float(values['pipeline latency (ms)']) == pytest.approx(latency, abs=0.01)
    assert float(values['derain (ms)']) == 1.0
    assert status.message == 'deadline missed'
    assert camera.report().values['deadline missed'] == '1 of 1'


def test_the_deadline_leaves_time_for_publishing(node, camera, monkeypatch):
    subscribe(node, camera, LABELS)
    engine = StandInEngine()
    monkeypatch.setattr(camera, '_publish', lambda *_: time.sleep(0.02))
    for _ in range(2):
        handle(camera, engine, Settings.of({'deadline_ms': 50}), Arrival(image_message(), 100.0))
    assert engine.calls[0]['deadline'] == 100.05
    assert engine.calls[1]['deadline'] < 100.0301
    job = camera.prepare(Settings.of({}), Arrival(image_message(), 100.0))
    assert job.deadline is None and job.publishing >= 0.02  # for the others of its batch


def test_camera_info_is_passed_on_under_the_header_of_the_image(ros, node, camera):
    received = subscribe(node, camera, CAMERA_INFO, CameraInfo)
    process(camera, StandInEngine())  # before any camera info: nothing to pass on
    camera._on_camera_info(CameraInfo(width=64, distortion_model='plumb_bob'))
    message = image_message(42)
    process(camera, StandInEngine(), message)
    info = receive(ros, node, received)
    assert info.header == message.header and info.distortion_model == 'plumb_bob'


def test_camera_info_is_counted_in_diagnostics_and_its_absence_is_no_warning(camera):
    camera._on_image(image_message(), {})
    report = camera.report()
    assert report.values['camera info'] == 'none on /front/camera_info'
    assert report.level is Level.OK
    for _ in range(2):
        camera._on_camera_info(CameraInfo())
    assert camera.report().values['camera info'] == '2 on /front/camera_info'


def test_a_camera_that_stopped_is_told_from_one_that_never_came(camera, monkeypatch):
    monkeypatch.setattr(camera_module, 'SILENCE_SECONDS', 0.0)
    report = camera.report()
    assert report.level is Level.WARN and report.message.startswith(
        'no image on /front/image for 0 s: 0 publishers; remap front/image to ')
    camera._on_image(image_message(), {})
    report = camera.report()
    assert re.match(r'no image on /front/image for 0 s: stopped after 1 images, last at '
                    r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\S+; 0 publishers; is the camera driver '
                    'still running', report.message)


def test_a_silent_camera_does_not_hide_an_error(camera, monkeypatch):
    monkeypatch.setattr(camera_module, 'SILENCE_SECONDS', 0.0)
    camera.statistics.dropped_failed('out of memory')
    report = camera.report()
    assert report.level is Level.ERROR
    assert report.message.startswith('1 frames failed: out of memory; no image on /front/image')


def test_the_engine_gets_iterations_and_deadline_of_the_settings(node, camera):
    subscribe(node, camera, LABELS)
    engine, arrival = StandInEngine(), Arrival(image_message(), 1000.0)
    for settings in ({'iterations': 2}, {'deadline_ms': 33}):
        handle(camera, engine, Settings.of(settings), arrival)
    assert [call['iterations'] for call in engine.calls] == [2, 3]
    assert engine.calls[0]['deadline'] is None
    assert engine.calls[1]['deadline'] == pytest.approx(1000.033)


def test_gaps_in_the_publishers_sequence_are_dropped_frames(node, camera):
    publisher = node.create_publisher(Image, 'front/image', 1)
    wait_until(lambda: node.count_publishers('/front/image') == 1, 'the publisher')
    for sequence in (5, 6, 9, 1, 2):  # two lost, then another publisher in its place
        camera._on_image(image_message(), {'publication_sequence_number': sequence})
    camera.report()
    assert camera.statistics.received == 7
    assert camera.statistics.stale == 2 + 4  # and four replaced in the mailbox
    node.destroy_publisher(publisher)


def test_an_age_needs_a_stamp_of_this_clock(node, camera):
    subscribe(node, camera, LABELS)
    process(camera, StandInEngine(), image_message(1))
    assert 'age p50 (ms)' not in camera.report().values
    message = image_message()
    message.header.stamp = node.get_clock().now().to_msg()
    process(camera, StandInEngine(), message)
    assert 0 <= float(camera.report().values['age p50 (ms)']) < 10_000


def test_closing_drops_what_waits_and_opening_starts_anew(node, camera):
    camera._on_image(image_message(), {})
    camera.close()
    assert camera.statistics.stale == 1 and not camera.mailbox.pending
    assert camera.report().message == 'not subscribed: the node is inactive'
    camera.open('compressed')
    assert camera.topic == '/front/image/compressed'


def test_incompatible_qos_waits_for_the_name_of_the_other_side(camera, monkeypatch):
    warnings, texts = [], ['of _NODE_NAME_UNKNOWN_', 'of _NODE_NAME_UNKNOWN_', 'of /driver']
    monkeypatch.setattr(camera._logger, 'warning', warnings.append)
    monkeypatch.setattr(camera_module.qos, 'explain_incompatible', lambda *_: texts.pop(0))
    camera._incompatible['/front/image', 'reliability', True] = 0
    for _ in range(4):
        camera.report()
    assert warnings == ['of /driver'] and not texts


def test_label_info_names_the_classes(node, camera, monkeypatch):
    if camera_module.LabelInfo is None:  # vision_msgs cannot be had as a wheel: its fields
        monkeypatch.setattr(camera_module, 'LabelInfo', lambda: SimpleNamespace(
            header=Header(), class_map=[], threshold=0.0))
        monkeypatch.setattr(camera_module, 'VisionClass', SimpleNamespace)
    message = camera_module.label_info(StandInLabels(), node.get_clock().now())
    assert [(item.class_id, item.class_name) for item in message.class_map] == \
        list(enumerate(StandInLabels.classes))
