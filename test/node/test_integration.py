# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The real node in its own process over real DDS, with a small model."""

import array
import time

import messages
import numpy as np
import pytest

pytest.importorskip('rclpy')
from ros_client import (  # noqa: E402
    CameraInfo,
    Image,
    RosClient,
    image_message,
    picture,
    wait_until,
)

from ubcn_ros.images.messages import to_rgb  # noqa: E402

pytestmark = pytest.mark.integration

OUTPUTS = {'/derained/image_raw': 'rgb8', '/labels/image_raw': 'mono8', '/labels/color': 'rgb8',
           '/labels/confidence': 'mono8', '/overlay/image_raw': 'rgb8'}


@pytest.fixture(scope='module')
def node(start_shared, tiny_model):
    """The node, active, shared by the tests of this file up to the one that ends it."""
    node = start_shared(model=str(tiny_model), device='cpu', iterations=2, warm_up_width=64,
                 warm_up_height=48)
    node.wait_for_log('active: waiting for images on /image')
    return node


@pytest.fixture(scope='module')
def camera(node):
    """A camera on /image that listens to every output."""
    camera = RosClient('camera')
    camera.wait_for_subscriber('/image')
    camera.wait_for_subscriber('/camera_info', CameraInfo)
    for topic in OUTPUTS:
        camera.record(topic)
    camera.record('/derained/camera_info', CameraInfo)

    def all_answered():
        # publishers find their subscribers one by one; what is published before is lost
        camera.publisher('/camera_info', CameraInfo).publish(
            CameraInfo(height=48, width=64, k=[float(i) for i in range(9)]))
        return exchange(camera, image_message(1), timeout=3.0)

    wait_until(all_answered, 'all outputs')
    yield camera
    camera.close()


def exchange(camera, message, timeout=30.0):
    """Publish an image; return its outputs by topic, or None when not all came in time."""
    for received in camera.received.values():
        received.clear()
    camera.publisher('/image').publish(message)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if all(camera.received.values()):
            return {topic: received[0] for topic, received in camera.received.items()}
        time.sleep(0.005)
    return None


def test_every_output_has_the_header_and_size_of_its_input(camera):
    for number in (7, 8):
        message = image_message(number, picture(50, 70))
        outputs = exchange(camera, message)
        for topic, output in outputs.items():
            assert output.header == message.header, topic
            assert (output.height, output.width) == ((50, 70) if topic in OUTPUTS else (48, 64))


def test_outputs_are_what_the_contract_says(camera):
    outputs = exchange(camera, image_message(3))
    for topic, encoding in OUTPUTS.items():
        assert outputs[topic].encoding == encoding
        assert outputs[topic].step == 64 * (1 if encoding == 'mono8' else 3)
    ids = np.unique(outputs['/labels/image_raw'].data)
    assert set(ids) <= {*range(11), 255}
    assert list(outputs['/derained/camera_info'].k) == list(range(9))


def test_a_model_that_tells_nothing_of_the_rain_has_no_topics_for_it_and_says_so(node, camera):
    assert 'rain/rate and rain/visibility are not published' in node.output
    wait_until(lambda: ('ubcn', '/') in camera.node.get_node_names_and_namespaces(), 'the node')

    def names():
        return {name for name, _ in camera.node.get_publisher_names_and_types_by_node('ubcn', '/')}

    wait_until(lambda: '/labels/image_raw' in names(), 'its topics')
    assert not [name for name in names() if '/rain/' in name]


def test_derained_keeps_the_colour_order(camera):
    straight = exchange(camera, image_message(1))['/derained/image_raw']
    swapped = exchange(camera, image_message(2, encoding='bgr8'))['/derained/image_raw']
    assert (straight.encoding, swapped.encoding) == ('rgb8', 'bgr8')
    assert np.array_equal(to_rgb(straight), to_rgb(swapped))


@pytest.mark.parametrize('encoding', ['rgba8', 'mono16', 'bayer_rggb8', 'yuv422_yuy2', 'nv12'])
def test_other_encodings_come_out_as_rgb8(camera, encoding):
    fields = vars(messages.sample(encoding, picture()))
    message = Image(**{key: value for key, value in fields.items() if key != 'header'})
    assert exchange(camera, message)['/derained/image_raw'].encoding == 'rgb8'


def test_iterations_are_changed_from_another_process(camera):
    for iterations in (1, 3):
        assert camera.set_parameter('iterations', iterations).successful
        assert exchange(camera, image_message(iterations))
        wait_until(lambda: camera.diagnostics()['iterations used (last)'] == str(iterations),  # noqa: B023
                   'the report of this frame')
    assert camera.diagnostics('engine')['iterations'] == '3'


def test_further_steps_are_left_out_once_an_image_has_converged(camera):
    assert camera.set_parameter('iterations', 3).successful
    try:
        for threshold, used in ((255.0, 1), (0.0, 3)):
            assert camera.set_parameter('convergence', threshold).successful
            assert exchange(camera, image_message(used))
            wait_until(lambda: camera.diagnostics()['iterations used (last)'] == str(used),  # noqa: B023
                       'the report of this frame')
            assert camera.diagnostics('engine')['convergence (of 255)'] == f'{threshold:g}'
    finally:
        assert camera.set_parameter('convergence', 0.0).successful


def test_masks_leave_out_what_is_not_sure_enough_once_they_are_asked_to(camera):
    before = exchange(camera, image_message(1))
    labels, sure = (np.frombuffer(before[topic].data, np.uint8)
                    for topic in ('/labels/image_raw', '/labels/confidence'))
    steps = int(np.median(sure))
    below = sure < steps
    try:
        assert camera.set_parameter('min_confidence', steps / 255).successful
        after = exchange(camera, image_message(2))
        assert np.array_equal(after['/labels/image_raw'].data, np.where(below, 255, labels))
        assert after['/labels/confidence'].data == before['/labels/confidence'].data
        wait_until(lambda: camera.diagnostics().get('unlabeled (last, %)')
                   == f'{100 * below.mean():.2f}', 'the report of this frame')
        assert float(camera.diagnostics('engine')['min confidence']) == pytest.approx(
            steps / 255, rel=1e-4)
    finally:
        assert camera.set_parameter('min_confidence', 0.0).successful
    again = exchange(camera, image_message(3))
    assert again['/labels/image_raw'].data == before['/labels/image_raw'].data


@pytest.mark.parametrize('name, value, reason', [
    ('iterations', 0, 'iterations out of range. Min: 1, Max: 10, value: 0'),
    ('iterations', 'two', "iterations must be an integer, like 3; got 'two'"),
    ('deadline_ms', -5.0, 'out of range'),
    ('overlay_alpha', 2, 'overlay_alpha must be 0 to 1, got 2'),
    ('convergence', -0.5, 'out of range'),
    ('min_confidence', -0.5, 'out of range'),
    ('model', 'other', 'model is fixed while the node is configured'),
    ('autostart', False, 'autostart is read once at start'),
])
def test_changes_out_of_range_are_refused_with_a_reason(camera, name, value, reason):
    result = camera.set_parameter(name, value)
    assert not result.successful and reason in result.reason
    assert exchange(camera, image_message(1))


def test_malformed_images_are_counted_and_the_next_good_one_is_processed(camera, node):
    before = camera.diagnostics()
    for kind, change in {
            'step': {'step': 10}, 'data': {'data': array.array('B', b'short')},
            'size': {'height': 0}, 'encoding': {'encoding': 'thermal7'}}.items():
        message = image_message(1)
        for field, value in change.items():
            setattr(message, field, value)
        camera.publisher('/image').publish(message)
        node.wait_for_log({
            'step': 'step 10 is shorter than a row', 'data': '5 bytes of data',
            'size': 'the driver published an empty image',
            'encoding': "encoding 'thermal7'"}[kind])
        assert exchange(camera, image_message(2)), f'nothing after a bad {kind}'
    after = camera.counted(before, received=8, processed=4, malformed=4, dropped=0)
    assert all(int(after[f'malformed ({kind})']) >= 1
               for kind in ('step', 'data', 'size', 'encoding'))


def test_diagnostics_name_the_model_and_the_times(camera):
    assert exchange(camera, image_message(1))
    reports = camera.reports()
    engine, values = reports['engine'], reports['camera']
    assert len(engine['model sha256']) == 64 and float(engine['resident memory (MiB)']) > 10
    for quantity in ('latency', 'transport', 'take', 'wait', 'convert', 'derain', 'segment',
                     'fill', 'publish', 'total'):
        assert float(values[f'{quantity} p50 (ms)']) <= float(values[f'{quantity} p95 (ms)'])
    before, start = camera.diagnostics_count, time.monotonic()
    wait_until(lambda: camera.diagnostics_count - before >= 3, 'three reports')
    assert time.monotonic() - start > 1.6, 'a report a second, of which the one before came late'


def test_it_ends_cleanly_when_told_to(camera, node):
    assert node.stop() == 0, node.output
    assert 'Traceback' not in node.output
