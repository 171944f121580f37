# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hints on a silent input fit the case: who publishes what, where, and as whom."""

import os
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from ros_client import CompressedImage, Image, wait_until  # noqa: E402
from sensor_msgs.msg import CameraInfo, RegionOfInterest  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from ubcn_ros.node.hints import (  # noqa: E402
    UNKNOWN_NODE,
    IncompatibleEndpoints,
    Silence,
    explain_calibration,
    explain_incompatible,
    explain_no_camera_info,
    explain_silence,
    other_users,
)

RAW = Silence('/front/image', 'raw', 'front/image', 6.0)
COMPRESSED = Silence('/front/image/compressed', 'compressed', 'front/image', 6.0)
STOPPED = Silence('/front/image', 'raw', 'front/image', 6.0, 20, 1_800_000_000.0)
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
TRANSIENT_LOCAL, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
NOBODY = 'nobody publishes sensor_msgs/msg/Image at all; is the camera driver running'


@pytest.fixture
def node(ros):
    """The node that explains, with an output and two inputs of its own."""
    node = ros.create_node('hints')
    node.create_publisher(Image, 'derained/image_raw', 1)
    for topic in ('front/image', 'left/image'):
        node.create_subscription(Image, topic, repr, 1)
    yield node
    node.destroy_node()


@pytest.fixture
def driver(ros, node):
    """Publish or subscribe as another node, known to the first when it returns."""
    other = ros.create_node('driver')

    def add(topic, kind=Image, publish=True, qos=1):
        if publish:
            count = node.count_publishers(topic)
            other.create_publisher(kind, topic, qos)
            wait_until(lambda: node.count_publishers(topic) > count, topic)
            wait_until(lambda: all(info.node_name == 'driver' for info
                                   in node.get_publishers_info_by_topic(topic)), 'its name')
        else:
            other.create_subscription(kind, topic, repr, qos)
            wait_until(lambda: any(info.node_name == 'driver' for info
                                   in node.get_subscriptions_info_by_topic(topic)), topic)

    yield add
    other.destroy_node()


def test_topics_without_a_publisher_and_the_nodes_own_are_not_offered(node, driver):
    driver('/misspelt', publish=False)
    text = explain_silence(node, RAW)
    assert text.startswith("no image on /front/image for 6 s: 0 publishers; remap front/image to "
                           f"the camera's topic; {NOBODY}")
    driver('/rig/front')
    text = explain_silence(node, RAW)
    assert text.endswith('topics of type sensor_msgs/msg/Image are /rig/front')


def test_compressed_images_are_remapped_by_their_base_topic(node, driver):
    driver('/rig/front/compressed', CompressedImage)
    text = explain_silence(node, COMPRESSED)
    assert "remap front/image to the camera's topic without /compressed; topics of type " \
        'sensor_msgs/msg/CompressedImage are /rig/front/compressed' in text
    by_hand = Silence('/x', 'compressed', 'front/image/compressed', 6.0)
    assert "remap front/image/compressed to the camera's topic; " in explain_silence(node, by_hand)


def test_images_of_the_other_transport_are_named(node, driver):
    driver('/rig/front/compressed', CompressedImage)
    assert explain_silence(node, RAW).endswith(
        'nobody publishes sensor_msgs/msg/Image at all, but sensor_msgs/msg/CompressedImage on '
        '/rig/front/compressed: for these set input_transport to compressed and remap front/image '
        'to /rig/front')
    driver('/rig/jpeg', CompressedImage)
    assert explain_silence(node, RAW).endswith(
        ' and remap front/image to /rig/front or remap front/image/compressed to /rig/jpeg')


def test_a_topic_of_another_type_is_named(node, driver):
    driver('/rig/front', String)
    text = explain_silence(node, Silence('/rig/front', 'raw', 'front/image', 6.0))
    assert '1 publisher: /driver (std_msgs/msg/String' in text
    assert "we subscribe to sensor_msgs/msg/Image: remap front/image to the camera's topic; " \
        f'{NOBODY}' in text
    assert 'input_transport' not in text


ELSEWHERE = '/elsewhere/image_raw'


@pytest.mark.parametrize('remapped, transport, topic, published, kind, remedy', [
    ('image:=/c/image', 'raw', '/c/image', '/c/image/compressed', CompressedImage,
     'set input_transport to compressed'),
    ('image:=/c/image', 'compressed', '/c/image/compressed', '/c/image', Image,
     'set input_transport to raw'),
    ('image:=/c/image/compressed', 'raw', '/c/image/compressed', '/c/image/compressed',
     CompressedImage, 'set input_transport to compressed and remap image to /c/image'),
    ('image:=/c/jpeg', 'raw', '/c/jpeg', '/c/jpeg', CompressedImage,
     'set input_transport to compressed and remap image/compressed to /c/jpeg'),
    ('image/compressed:=/c/image', 'compressed', '/c/image', '/c/image', Image,
     'set input_transport to raw and remap image to /c/image'),
    ('image/compressed:=/c/image/compressed', 'compressed', '/c/image/compressed', '/c/image',
     Image, 'set input_transport to raw and remap image to /c/image')])
@pytest.mark.parametrize('received', [0, 20], ids=['never', 'stopped'])
def test_the_same_camera_in_the_other_transport_comes_before_other_cameras(
        ros, driver, remapped, transport, topic, published, kind, remedy, received):
    driver(ELSEWHERE)
    driver(f'{ELSEWHERE}/compressed', CompressedImage)
    driver(published, kind)
    node = ros.create_node('remapped', cli_args=['--ros-args', '-r', remapped])
    try:
        wait_until(lambda: node.get_publishers_info_by_topic(published), published)
        text = explain_silence(node, Silence(
            topic, transport, remapped.partition(':=')[0], 6.0, received, 1_800_000_000.0))
    finally:
        node.destroy_node()
    assert text.endswith(f'comes on {published}: {remedy}') and ELSEWHERE not in text


def test_the_other_transport_of_a_camera_with_a_name(node, driver):
    driver('/front/image/compressed', CompressedImage)
    assert explain_silence(node, RAW).endswith(
        '/front/image/compressed: set input_transport to compressed')


@pytest.mark.parametrize('offered, asked, values', [
    ({'reliability': BEST_EFFORT}, {'reliability': RELIABLE},
     {'reliability': ('best_effort', 'reliable')}),
    ({'durability': VOLATILE}, {'durability': TRANSIENT_LOCAL},
     {'durability': ('volatile', 'transient_local')}),
    ({'reliability': BEST_EFFORT}, {'reliability': RELIABLE, 'durability': TRANSIENT_LOCAL},
     {'reliability': ('best_effort', 'reliable'), 'durability': ('volatile', 'transient_local')}),
    ({'reliability': RELIABLE}, {'reliability': BEST_EFFORT}, {})], ids=str)
def test_qos_that_does_not_fit_is_the_reason_and_says_what_to_set(
        node, driver, tmp_path, offered, asked, values):
    node.create_subscription(Image, '/rig/front', repr, QoSProfile(depth=1, **asked))
    driver('/rig/front', qos=QoSProfile(depth=1, **offered))
    silence = Silence('/rig/front', 'raw', 'front/image', 6.0)
    text = explain_silence(node, silence, tmp_path)
    assert ('sends nothing' in text) == (not values)
    for policy, (theirs, ours) in values.items():
        assert f'{policy} offered is {theirs}, asked for is {ours}: set the parameter ' \
            f"'qos_overrides./rig/front.subscription.{policy}' to {theirs}" in text
    driver('/rig/front', qos=QoSProfile(depth=1, reliability=RELIABLE, durability=TRANSIENT_LOCAL))
    assert 'sends nothing' in explain_silence(node, silence, tmp_path), 'one of them fits'


@pytest.mark.parametrize('offered, asked, told', [
    (TRANSIENT_LOCAL, {},
     'transient_local); what was sent before the node was active reaches it only with the '
     "parameters 'qos_overrides./rig/camera_info.subscription.durability' set to transient_local "
     "and 'qos_overrides./rig/camera_info.subscription.reliability' set to reliable"),
    (TRANSIENT_LOCAL, {'durability': TRANSIENT_LOCAL}, 'transient_local); nothing is sent'),
    (VOLATILE, {}, 'volatile); nothing is sent'),
    (VOLATILE, {'durability': TRANSIENT_LOCAL, 'reliability': RELIABLE},
     'volatile); QoS incompatible: durability offered is volatile, asked for is transient_local: '
     "set the parameter 'qos_overrides./rig/camera_info.subscription.durability' to volatile")])
def test_a_camera_info_that_is_published_and_does_not_arrive_is_explained(
        node, driver, offered, asked, told):
    node.create_subscription(CameraInfo, '/rig/camera_info', repr, QoSProfile(depth=1, **asked))
    assert explain_no_camera_info(node, '/rig/camera_info', 6.0) == '', 'nobody publishes one'
    driver('/rig/camera_info', CameraInfo, qos=QoSProfile(depth=1, durability=offered))
    text = explain_no_camera_info(node, '/rig/camera_info', 6.0)
    assert text.startswith('no camera info on /rig/camera_info for 6 s: 1 publisher: /driver (')
    assert told in text


def test_a_camera_info_of_another_type_is_told():
    there = SimpleNamespace(node_namespace='/', node_name='driver',
                            qos_profile=QoSProfile(depth=1), topic_type='std_msgs/msg/String')
    node = SimpleNamespace(get_publishers_info_by_topic=lambda topic: [there], subscriptions=[])
    text = explain_no_camera_info(node, '/rig/camera_info', 6.0)
    assert text.endswith('; we subscribe to sensor_msgs/msg/CameraInfo: remap camera_info to a '
                         'topic of that type')


@pytest.mark.parametrize('size, more, told', [
    ((0, 0), {}, ''), ((64, 48), {}, ''), ((128, 96), {'binning_x': 2, 'binning_y': 2}, ''),
    ((640, 480), {'roi': RegionOfInterest(width=64, height=48)}, ''),
    ((640, 480), {'roi': RegionOfInterest(width=128, height=48), 'binning_x': 2}, ''),
    ((48, 64), {}, 'of 48x64'), ((128, 96), {}, 'of 128x96'),
    ((64, 48), {'binning_x': 2, 'binning_y': 2}, 'of 32x24'),
    ((64, 48), {'roi': RegionOfInterest(width=32, height=48)}, 'of 32x48')])
def test_a_calibration_of_another_size_is_told(size, more, told):
    text = explain_calibration(CameraInfo(width=size[0], height=size[1], **more), '', 48, 64)
    assert told in text and bool(told) == bool(text)
    assert not text or 'images are 64x48' in text
    assert explain_calibration(None, '', 48, 64) == ''


def test_a_stream_that_stopped_is_not_to_be_remapped(node, driver, tmp_path):
    text = explain_silence(node, STOPPED, tmp_path)
    assert 'stopped after 20 images, last at 2027-01-' in text and 'remap' not in text
    assert text.endswith('0 publishers; is the camera driver still running?')
    driver('/front/image')
    text = explain_silence(node, STOPPED, tmp_path)
    assert 'stopped after 20 images' in text
    assert text.endswith('sends nothing any more: see its log')


@pytest.mark.parametrize('silence', [RAW, STOPPED], ids=['never', 'stopped'])
def test_a_driver_of_another_user_is_thought_of(node, driver, tmp_path, monkeypatch, silence):
    driver('/front/image')
    segment = tmp_path / 'fastrtps_0123456789abcdef'
    segment.touch()
    assert 'user' not in explain_silence(node, silence, tmp_path)
    owner = os.getuid()
    monkeypatch.setattr(os, 'getuid', lambda: owner + 1)
    text = explain_silence(node, silence, tmp_path)
    assert f'Fast DDS segments of {segment.owner()}, not usable by' in text
    assert text.endswith(
        'Run both as one user, or both over UDP: for both set FASTDDS_BUILTIN_TRANSPORTS=UDPv4, '
        'and unset what overrides it: FASTRTPS_DEFAULT_PROFILES_FILE and '
        'FASTDDS_DEFAULT_PROFILES_FILE, ROS_AUTOMATIC_DISCOVERY_RANGE where it is LOCALHOST, and '
        'ROS_LOCALHOST_ONLY where it is 1')
    assert 'shared_memory' not in text, 'with that variable the launch file gives no profile'


def test_only_segments_of_fast_dds_count(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'getuid', lambda: 2**31)
    (tmp_path / 'lttng-ust-wait-8').touch()
    assert not other_users(tmp_path) and not other_users(tmp_path / 'missing')
    (tmp_path / 'fastdds_port7413').touch()
    assert len(other_users(tmp_path)) == 1


@pytest.mark.parametrize('asked, told, overridable', [
    ({'deadline': Duration(seconds=0.2)}, 'deadline 0.2 s', False),
    ({'liveliness': LivelinessPolicy.MANUAL_BY_TOPIC}, 'liveliness manual_by_topic', False),
    ({'durability': TRANSIENT_LOCAL}, 'transient_local', True)], ids=str)
def test_a_parameter_is_offered_for_policies_that_one_can_override(
        node, driver, asked, told, overridable):
    driver('/derained/image_raw', publish=False, qos=QoSProfile(depth=1, **asked))
    policy, = asked
    kind = QoSPolicyKind[policy.upper()]
    text = explain_incompatible(node, '/derained/image_raw', kind, subscribing=False)
    assert f'Policy: {policy}. Subscribers there: /driver (' in text and told in text
    assert f'Change {policy} in that subscriber' in text
    assert ('qos_overrides./derained/image_raw.publisher.' in text) == overridable


def test_a_policy_that_no_profile_has_is_told_without_a_value(node, driver):
    driver('/derained/image_raw', publish=False)
    text = explain_incompatible(node, '/derained/image_raw', QoSPolicyKind.INVALID, False)
    assert 'Policy: invalid. Subscribers there: /driver (' in text and 'qos_overrides' not in text


def test_incompatible_qos_waits_for_the_name_of_the_other_side():
    asked = []

    def explain(node, topic, policy, subscribing):
        asked.append((topic, policy, subscribing))
        return f'of {UNKNOWN_NODE if len(asked) < 3 else "/driver"}'

    endpoints = IncompatibleEndpoints(None, explain)
    for _ in range(2):  # an endpoint is told once, however often it is noted
        endpoints.note_publisher('/front/image', 'reliability')
    assert [endpoints.explain() for _ in range(4)] == [[], [], ['of /driver'], []]
    assert set(asked) == {('/front/image', 'reliability', True)}


def test_incompatible_qos_is_told_without_the_name_in_the_end():
    endpoints = IncompatibleEndpoints(None, lambda *endpoint: f'{UNKNOWN_NODE} {endpoint[1:]}')
    endpoints.note_subscriber('/labels/color', 'durability')
    texts = [text for _ in range(10) for text in endpoints.explain()]
    assert texts == [f"{UNKNOWN_NODE} ('/labels/color', 'durability', False)"]
