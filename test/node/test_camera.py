# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera's messages are counted, and its report says why none arrive."""

import re
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
from fake_engine import FakeLabels  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from ros_client import CameraInfo, Image, image_message, wait_until  # noqa: E402

from ubcn_ros.node.camera import Camera, check_inputs, check_outputs  # noqa: E402
from ubcn_ros.node.diagnostics import Level, Throttle  # noqa: E402
from ubcn_ros.node.frame_queue import FrameQueue  # noqa: E402
from ubcn_ros.node.frames import Arrival, FrameNumbers  # noqa: E402
from ubcn_ros.node.parameters import Settings  # noqa: E402


class Clock:
    """A time that moves only when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def node(ros):
    node = ros.create_node('camera_test')
    yield node
    node.destroy_node()


@pytest.fixture
def queue():
    return FrameQueue(Arrival.batch_key)


@pytest.fixture
def camera(node, queue, clock):
    camera = Camera(node, queue, FakeLabels(), 'front/', clock)
    queue.serve([camera])
    camera.open('raw')
    yield camera
    camera.destroy()


def test_an_image_waits_in_the_queue_with_the_time_of_its_arrival(camera, queue, clock):
    message = image_message()
    camera.on_image(message, {})
    (_, arrival), = queue.take()
    assert arrival.message is message
    assert (arrival.time, arrival.compressed) == (clock.now, False)
    camera.close()
    camera.open('compressed')
    camera.on_image(message, {})
    (_, arrival), = queue.take()
    assert arrival.compressed


def test_images_that_newer_ones_replaced_are_counted_once(camera):
    for stale in (2, 2, 5):
        while camera.statistics.received < stale + 1:
            camera.on_image(image_message(), {})
        camera.report()
        assert camera.statistics.stale == stale


def test_an_idle_engine_is_no_warning(camera):
    camera.on_image(image_message(), {})
    camera.statistics.dropped_idle()
    report = camera.report()
    assert report.message.startswith('idle: nobody subscribes to an output')
    assert report.level is Level.OK
    assert report.values['dropped (idle)'] == report.values['dropped'] == '1'


def test_camera_info_is_counted_in_diagnostics_and_its_absence_is_no_warning(camera):
    camera.on_image(image_message(), {})
    report = camera.report()
    assert report.values['camera info'] == 'none on /front/camera_info'
    assert report.level is Level.OK
    for _ in range(2):
        camera.on_camera_info(CameraInfo())
    assert camera.report().values['camera info'] == '2 on /front/camera_info'


def test_a_camera_info_that_was_published_once_before_is_warned_of(node, camera, clock, capfd):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_publisher(CameraInfo, 'front/camera_info', latched).publish(CameraInfo())
    wait_until(lambda: node.count_publishers('/front/camera_info') == 1, 'the publisher')
    clock.now += 6
    assert 'camera info on' not in camera.report().message, 'no image, and that is told'
    camera.on_image(image_message(), {})
    camera.statistics.dropped_idle()
    report = camera.report()
    assert report.level is Level.WARN and re.search(
        r'no camera info on /front/camera_info for 6 s: 1 publisher: /camera_test .*'
        r"'qos_overrides./front/camera_info.subscription.durability' set to transient_local",
        report.message)
    assert 'no camera info on /front/camera_info' in capfd.readouterr().err
    camera.on_camera_info(CameraInfo())
    assert camera.report().level is Level.OK


def test_a_camera_that_stopped_is_told_from_one_that_never_came(camera, clock):
    assert camera.report().level is Level.OK
    clock.now += 6
    report = camera.report()
    assert report.level is Level.WARN and report.message.startswith(
        'no image on /front/image for 6 s: 0 publishers; remap front/image to ')
    camera.on_image(image_message(), {})
    clock.now += 7
    report = camera.report()
    assert re.match(r'no image on /front/image for 7 s: stopped after 1 image, last at '
                    r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\S+; 0 publishers; is the camera driver '
                    'still running', report.message)


def test_a_publisher_that_sends_nothing_is_named(node, camera, clock):
    node.create_publisher(Image, 'front/image', 1)
    wait_until(lambda: node.count_publishers('/front/image') == 1, 'the publisher')
    clock.now += 6
    report = camera.report()
    assert report.level is Level.WARN and '1 publisher: /camera_test (' in report.message
    assert 'connected but sends nothing' in report.message


def test_a_silent_camera_does_not_hide_an_error(camera, clock):
    clock.now += 6
    camera.statistics.dropped_failed('out of memory')
    report = camera.report()
    assert report.level is Level.ERROR
    assert report.message.startswith('1 frames failed: out of memory; no image on /front/image')


def test_a_warning_of_a_fast_camera_is_logged_now_and_then(camera, capfd):
    for number in range(3):
        camera.warn('step', f'/front/image: malformed image dropped: {number}')
    camera.warn('size', '/front/image: empty')
    told = capfd.readouterr().err
    assert told.count('malformed image dropped') == 1 and '/front/image: empty' in told


def test_warnings_that_were_held_back_are_counted_by_what_they_have_in_common(
        node, clock, capfd, monkeypatch, queue):
    monkeypatch.setattr('ubcn_ros.node.camera.Throttle',
                        lambda period=5.0: Throttle(period, clock))
    camera = Camera(node, queue, FakeLabels(), 'front/', clock)
    try:
        for text in ('cut', 'empty', 'cut'):
            camera.warn('malformed: compressed', text)
        clock.now += 6
        camera.warn('malformed: compressed', 'empty')
    finally:
        camera.destroy()
    assert 'empty (2 more malformed: compressed)' in capfd.readouterr().err


def test_errors_of_each_camera_are_logged_now_and_then(node, capfd, queue):
    cameras = [Camera(node, queue, FakeLabels(), f'{name}/')
               for name in ('front', 'left')]
    try:
        for camera in cameras:
            for number in range(4):
                camera.error('OSError', f'/{camera.name}/image: frame dropped: {number}')
    finally:
        for camera in cameras:
            camera.destroy()
    told = capfd.readouterr().err
    assert [told.count(f'/{camera.name}/image: frame dropped') for camera in cameras] == [1, 1]


def test_what_lasts_is_logged_once_a_minute(camera, capfd):
    for _ in range(3):
        camera.remind('calibration', 'a calibration of another size')
    assert capfd.readouterr().err.count('a calibration of another size') == 1


def test_another_silence_is_logged_at_once(camera, clock, capfd):
    for _ in range(2):  # a driver that starts late, and ends
        clock.now += 6.0
        camera.report()
        camera.report()
        assert capfd.readouterr().err.count('no image') == 1
        camera.on_image(image_message(), {})
        camera.report()


def test_a_camera_that_is_opened_again_has_no_calibration_of_before(camera):
    camera.on_camera_info(CameraInfo(height=480, width=640))
    assert camera.outputs.camera_info(image_message().header).width == 640
    camera.close()
    camera.open('raw')
    assert camera.outputs.camera_info(image_message().header) is None


def test_an_image_keeps_its_camera_info_until_it_is_done_with(camera, queue):
    """Both of an image that the engine has and of one that waits."""
    images, taken = [image_message(number) for number in (1, 2)], []
    for image in images:
        taken += queue.take()
        camera.on_image(image, {})
        camera.on_camera_info(CameraInfo(header=image.header, width=image.header.stamp.sec))
    for number in range(3, 300):
        camera.on_camera_info(CameraInfo(header=image_message(number).header, width=number))
    assert [camera.outputs.camera_info(image.header).width for image in images] == [1, 2]
    taken.clear()
    queue.discard(camera)
    assert [camera.outputs.camera_info(image.header).width for image in images] == [299, 299]


@pytest.mark.parametrize('arrivals, missed', [
    ([(b'a', 5), (b'a', 6), (b'a', 9)], 2),
    ([(b'a', 9), (b'b', 1), (b'b', 2), (b'b', 4)], 1),  # the driver was started again
    ([(b'a', 5), (b'b', 900), (b'b', 901)], 0),  # another one that has been publishing for long
    ([(b'a', 5), (b'b', 900), (b'a', 6), (b'b', 901)], 0),  # two at once
    ([(b'a', 9), (b'a', 1), (b'a', 2)], 0),
    ([(None, 5), (None, 9)], 0),  # nothing says whose numbers these are
    ([(b'a', None), (b'a', 9), (b'a', None)], 0)])
def test_gaps_in_a_publishers_sequence_are_dropped_frames(camera, arrivals, missed):
    for publisher, sequence in arrivals:
        camera.on_image(image_message(), {'publication_sequence_number': sequence,
                                          'publisher_gid': publisher})
    camera.report()
    assert camera.statistics.received == len(arrivals) + missed
    assert camera.statistics.missed == missed


@pytest.mark.parametrize('numbered', [True, False])  # Cyclone DDS numbers no images
@pytest.mark.parametrize('publishers, mixed', [
    ('aab', False),  # the driver was started again
    ('aba', True), ('aabbaa', True), ('abc', True)])
def test_images_of_two_publishers_at_once_are_warned_of(camera, capfd, publishers, mixed,
                                                        numbered):
    for number, publisher in enumerate(publishers):
        camera.on_image(image_message(), {
            'publication_sequence_number': number if numbered else None,
            'publisher_gid': publisher})
    camera.statistics.dropped_idle()
    report = camera.report()
    assert (report.level is Level.WARN) is mixed
    assert ('/front/image: images of several publishers' in report.message) is mixed
    assert ('several publishers' in capfd.readouterr().err) is mixed
    assert camera.report().level is Level.OK


def test_closing_drops_what_waits_and_opening_starts_anew(camera, queue):
    camera.on_image(image_message(), {})
    camera.close()
    assert camera.statistics.stale == 1 and not queue.take()
    assert camera.report().message == 'not subscribed: the node is inactive'
    camera.open('compressed')
    assert camera.topic == '/front/image/compressed'


@pytest.mark.parametrize('reopen', [False, True])
def test_deadlines_missed_before_the_camera_was_closed_raise_no_level(camera, reopen):
    for _ in range(5):
        camera.statistics.done(FrameNumbers(1, (48, 64), 90.0, 90.0, 40.0, {}), None)
    report = camera.report(40.0)
    assert report.level is Level.ERROR
    assert report.message.startswith('5 of 5 deadlines missed (40 ms)')
    camera.close()
    if reopen:
        camera.open('raw')
    report = camera.report(40.0)
    assert report.level is Level.OK and 'deadlines' not in report.message
    assert report.values['deadline missed'] == '5 of 5'


def test_a_failure_just_before_the_camera_was_closed_is_still_told(camera):
    camera.statistics.dropped_failed('out of memory')
    camera.close()
    report = camera.report()
    assert report.level is Level.ERROR
    assert report.message == \
        '1 frames failed: out of memory; not subscribed: the node is inactive'
    report = camera.report()
    assert (report.level, report.message) == (Level.OK, 'not subscribed: the node is inactive')


@pytest.fixture
def refusing(ros):
    """Make a node whose QoS parameters refuse one topic."""
    nodes = []

    def make(parameter):
        nodes.append(ros.create_node('refusing', cli_args=[
            '--ros-args', '-p', f'qos_overrides.{parameter}.reliability:=x']))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize('rule', ['image:=derained/image_raw', 'derained/image_raw:=image',
                                  'labels/color:=/image', 'derained/camera_info:=camera_info'])
def test_an_input_that_is_an_output_too_is_refused(ros, rule, queue):
    """A picture would go round for ever, and look like a camera that lives."""
    node = ros.create_node('round', cli_args=['--ros-args', '-r', rule])
    camera = Camera(node, queue, FakeLabels())
    try:
        with pytest.raises(ValueError, match='is an output of this node and an input, too: remap'):
            camera.open('raw')
        assert not any('image' in s.topic_name for s in node.subscriptions)
    finally:
        camera.destroy()
        node.destroy_node()


@pytest.mark.parametrize('rule, told', [
    ('labels/color:=derained/image_raw',
     'the outputs derained/image_raw and labels/color are one topic, /derained/image_raw: remap'),
    ('labels/label_info:=x -r debug/frame:=x',
     'debug/frame and labels/label_info are one topic, /x'),
    ('image:=derained/image_raw', '/derained/image_raw is an output of this node and an input'),
    ('derained/camera_info:=camera_info', '/camera_info is an output of this node and an input')])
def test_topics_that_are_not_their_own_are_refused_before_any_is_made(ros, rule, told):
    node = ros.create_node('shared', cli_args=['--ros-args', '-r', *rule.split()])
    try:
        with pytest.raises(ValueError, match=told):
            check_inputs(node, Settings.of({}))
    finally:
        node.destroy_node()


@pytest.fixture
def two_cameras(ros):
    """A node with these outputs of both its cameras, front and rear, on one topic."""
    nodes = []

    def make(output):
        nodes.append(ros.create_node('two', cli_args=['--ros-args', *(
            word for camera in ('front', 'rear')
            for word in ('-r', f'{camera}/{output}:=/{output}'))]))
        return nodes[-1], Settings.of({'cameras': ['front', 'rear']})

    yield make
    for node in nodes:
        node.destroy_node()


def test_cameras_may_share_the_topic_of_the_classes(two_cameras):
    node, settings = two_cameras('labels/label_info')
    check_inputs(node, settings)
    check_outputs(node, settings.prefixes, rain=True)


def test_topics_of_the_rain_are_checked_where_the_model_estimates_it(two_cameras):
    node, settings = two_cameras('rain/rate')
    check_inputs(node, settings)
    check_outputs(node, settings.prefixes)
    with pytest.raises(ValueError, match='front/rain/rate and rear/rain/rate are one topic, /r'):
        check_outputs(node, settings.prefixes, rain=True)


@pytest.mark.parametrize('topic', ['/image', '/camera_info'])
def test_a_camera_that_cannot_be_opened_leaves_no_subscription(refusing, topic, queue):
    node = refusing(f'{topic}.subscription')
    camera = Camera(node, queue, FakeLabels())
    for _ in range(3):
        with pytest.raises(Exception, match='Unexpected QoS override'):
            camera.open('raw')
    assert not list(node.subscriptions)
    assert camera.report().message == 'not subscribed: the node is inactive'
    camera.destroy()


@pytest.mark.parametrize('topic', ['derained/image_raw', 'debug/frame'])
def test_a_camera_that_cannot_be_made_leaves_no_publisher(refusing, topic, queue):
    node = refusing(f'/front/{topic}.publisher')
    before = len(list(node.publishers))
    for _ in range(2):
        with pytest.raises(Exception, match='Unexpected QoS override'):
            Camera(node, queue, FakeLabels(), 'front/')
    assert len(list(node.publishers)) == before


@pytest.mark.parametrize('order, size', [
    ('info, image', 720), ('image, info, image', 720), ('image, wait, image, info, image', -1)])
def test_camera_info_within_a_second_of_the_first_image_changes_the_processing_size(
        node, clock, order, size, queue):
    model = SimpleNamespace(trained_short_side=360, trained_focal_length=2.0)
    camera = Camera(node, queue, FakeLabels(), clock=clock, info=model)
    camera.open('raw')
    info = CameraInfo(height=480, width=640)
    info.k[4] = 480.0
    try:
        steps = {'image': lambda: camera.on_image(image_message(), {}),
                 'info': lambda: camera.on_camera_info(info),
                 'wait': lambda: setattr(clock, 'now', clock.now + 1.0)}
        for step in order.split(', '):
            steps[step]()
        queue.serve([camera])
        (_, arrival), = queue.take()
        assert arrival.processing_size == size
        assert camera.statistics.stale == order.count('image') - 1
    finally:
        camera.destroy()
