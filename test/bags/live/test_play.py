# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag is played over DDS as it was recorded: bytes, order, QoS; what cannot be is told."""

import os
import signal
import subprocess
import sys
import threading
from itertools import islice
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from bag_files import SECOND, Topic, serialized, write_rosbag2, write_topics
from command_line import ubcn
from drives import write_bag
from test_offered_qos import NUMBERED, transforms

from ubcn_ros.bags import CAMERA_INFO, IMAGE, BagError, Record, open_bag
from ubcn_ros.bags.live import play as player
from ubcn_ros.bags.live.pace import Played
from ubcn_ros.bags.live.play import PlayOptions, _laps, play
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.bags.storage.mcap_file import McapFile
from ubcn_ros.node.middleware import FAST_DDS

ROOT = Path(__file__).parents[3]
TEXT = 'std_msgs/msg/String'
BEST_EFFORT = yaml.safe_dump([{**NUMBERED, 'reliability': 2}])
RELIABLE = yaml.safe_dump([NUMBERED])
LATCHED = yaml.safe_dump([{**NUMBERED, 'durability': 1}])


def text(number):
    return bytes(TYPES.serialize_cdr(TYPES.types[TEXT](f'number {number}'), TEXT))


@pytest.fixture
def bag(tmp_path):
    """Two topics, 0.4 s long, one from before that is latched, and two that cannot be played."""
    return write_topics(tmp_path / 'bag.mcap', [
        Topic('/image', IMAGE, [(5 + i / 10, serialized(i)) for i in range(5)], RELIABLE),
        Topic('/text', TEXT, [(5 + i / 100, text(i)) for i in range(40)], RELIABLE),
        Topic('/map', TEXT, [(5.001, text(-1))], LATCHED),
        Topic('/secret', 'our_msgs/msg/Secret', [(5, b'\0\1\0\0')]),
        Topic('/json', TEXT, [(5, b'{}')], encoding='json'),
    ])


class Listener:
    """A node that keeps the serialized messages of topics, and their order over all of them."""

    def __init__(self, ros, topics):
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile
        self.received = []
        self.node = ros.create_node('listener')
        for topic, kind in topics.items():
            self.node.create_subscription(
                kind, topic, lambda data, topic=topic: self.received.append((topic, data)),
                QoSProfile(depth=1000), raw=True)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def of(self, topic):
        return [data for name, data in list(self.received) if name == topic]

    def close(self):
        self._executor.shutdown()
        self._thread.join(60)
        self.node.destroy_node()


@pytest.fixture
def listen(ros):
    listeners = []

    def start(**topics):
        listeners.append(Listener(ros, {f'/{name}': kind for name, kind in topics.items()}))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def played(bag, **options):
    said, warned, result = [], [], Played()
    play(bag, PlayOptions(**options), result, said.append, warned.append)
    return result, said, warned


def test_messages_arrive_as_they_were_recorded(listen, bag):
    from ros_client import wait_until
    from sensor_msgs.msg import Image
    from std_msgs.msg import String
    listener = listen(image=Image, text=String)
    result, _, warned = played(bag, rate=4.0, wait_for=('/image', '/text'))
    wait_until(lambda: len(listener.received) == 45, 'all messages')
    assert listener.of('/image') == [serialized(i) for i in range(5)]
    assert listener.of('/text') == [text(i) for i in range(40)]
    assert result.messages == 46
    assert [line.partition(' is left out: ')[0] for line in warned] == [
        '/secret (our_msgs/msg/Secret)', f'/json ({TEXT})']
    assert 'is not installed' in warned[0] and 'encoded as json' in warned[1]


def test_the_clock_begins_with_the_part_that_is_played(listen, bag):
    from rclpy.serialization import deserialize_message
    from ros_client import wait_until
    from rosgraph_msgs.msg import Clock
    from std_msgs.msg import String
    listener = listen(clock=Clock, text=String)
    result, _, _ = played(bag, topics=('/t*',), start=0.1, duration=0.2, clock_hz=200,
                          wait_for=('/text',))
    wait_until(lambda: len(listener.of('/text')) == 20, 'all texts')
    assert listener.of('/text') == [text(i) for i in range(10, 30)] and result.messages == 20
    times = [deserialize_message(data, Clock).clock for data in listener.of('/clock')]
    times = [time.sec + time.nanosec / 1e9 for time in times]
    assert len(times) > 2 and times == sorted(times) and 5.1 <= times[0] and times[-1] < 5.3


def test_the_clock_takes_times_that_no_stamp_can_hold(ros, tmp_path):
    path = tmp_path / 'late.mcap'
    late = ros_channel('/text', TEXT)
    write_bag(path, [Record(late, 2**63 + n, 2**63 + n, 0, text(n)) for n in range(3)])
    assert played(path, clock_hz=10)[0].messages == 3
    write_rosbag2(tmp_path / 'early', [('/text', TEXT, n - 2, text(n)) for n in range(3)])
    assert played(tmp_path / 'early', clock_hz=10)[0].messages == 3


def test_a_recorded_clock_gives_way_to_the_players(ros, tmp_path):
    kind = 'rosgraph_msgs/msg/Clock'
    path = write_topics(tmp_path / 'bag.mcap', [
        Topic('/clock', kind, [(1, bytes(12)), (1.1, bytes(12))], RELIABLE),
        Topic('/text', TEXT, [(1, text(0))], RELIABLE)])
    assert played(path)[0].messages == 3
    assert played(path, clock_hz=10)[0].messages == 1


def test_what_was_latched_before_the_start_is_published_too(ros, bag):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from ros_client import wait_until
    from std_msgs.msg import String
    node, got = ros.create_node('late'), []
    node.create_subscription(String, '/map', lambda message: got.append(message.data), QoSProfile(
        depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def spun():
        ros.spin_once(node, timeout_sec=0.01)
        return got

    try:
        result, _, _ = played(bag, start=0.3, topics=('/map', '/text'), wait_for=('/map',))
        wait_until(spun, 'the latched message')
        assert got == ['number -1'] and result.messages == 11
    finally:
        node.destroy_node()


@pytest.mark.parametrize('topic', ['/tf_static', '/robot1/tf_static'])
def test_who_comes_late_gets_all_static_transforms(ros, tmp_path, monkeypatch, topic):
    """Of many publishers of depth 1, also from before the start."""
    depths, sent = {}, []
    static = [transforms(topic, time, f'sensor_{time}') for time in (*range(15), 10**9)]
    path = write_bag(tmp_path / 'bag.mcap', static)

    def publisher(node, topic, msgtype, serialization, profile):
        depths[topic] = profile.depth
        return Mock(publish=sent.append)  # tf2_msgs need not be installed

    monkeypatch.setattr(player, '_publisher', publisher)
    assert played(path, start=0.9)[0].messages == 16
    assert depths == {topic: 16} and sent == [record.data for record in static]


def test_each_lap_begins_with_what_was_latched_before_the_start(tmp_path):
    """A publisher that keeps as many messages as the bag has would soon have the last alone."""
    times = (0, 1, 10, 11)
    path = write_bag(tmp_path / 'bag.mcap', [
        transforms('/tf_static', time, f'sensor_{time}') for time in times])
    with open_bag(path) as reader:
        laps = [(lap, record.data) for lap, record in islice(
            _laps(reader, reader.channels, 5, 12, True, print), 12)]
    assert laps == [(lap, record.data) for lap in range(3)
                    for record in map(transforms, ['/tf_static'] * 4, times,
                                      [f'sensor_{time}' for time in times])]


def test_a_middleware_without_acknowledgements_plays_to_the_end(ros, bag, monkeypatch):
    from rclpy.impl.implementation_singleton import rclpy_implementation
    refuse = Mock(side_effect=rclpy_implementation.RCLError('Failed to wait for all'))
    monkeypatch.setattr(player, '_publisher', lambda *_: Mock(wait_for_all_acked=refuse))
    assert played(bag, rate=10.0, topics=('/text',))[0].messages == 40 and refuse.called


def test_topics_are_offered_by_the_qos_of_the_recording(ros, tmp_path):
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    from ubcn_ros.bags.live.play import _counts, _node, _Publishers
    path = write_topics(tmp_path / 'bag.mcap', [
        Topic('/a', TEXT, [(1, text(0))], BEST_EFFORT), Topic('/b', TEXT, [(1, text(0))], LATCHED),
        Topic('/c', TEXT, [(1, text(0))])])
    warned = []
    with open_bag(path) as reader, _node() as node:
        publishers = _Publishers(node, reader.channels, _counts(reader), warned.append)
        found = {name: node.get_publishers_info_by_topic(name)[0].qos_profile
                 for name in ('/a', '/b', '/c')}
        assert publishers.topics == {'/a', '/b', '/c'}
    assert [found[name].reliability for name in found] == [
        ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE, ReliabilityPolicy.RELIABLE]
    assert found['/b'].durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert warned == ['no QoS was recorded of /c: reliable and volatile is offered']


@pytest.mark.parametrize('options, words', [
    ({'wait_for': ('/secret', '/x')}, "'/secret, /x' cannot be waited for"),
    ({'topics': ('/x',)}, "no topic is like '/x'"),
    ({'topics': ('/secret',)}, 'nothing of .* can be played'),
    ({'start': 0.5}, 'is 0.400 s long'),
    ({'topics': ('/map',), 'start': 0.1}, 'has no message of the chosen topics'),
    ({'topics': ('/map',), 'start': 0.1, 'loop': True}, 'has no message of the chosen topics'),
], ids=str)
def test_what_cannot_be_played_is_an_error(ros, bag, options, words):
    with pytest.raises(BagError, match=words):
        played(bag, **options)


def test_an_empty_bag_is_an_error(tmp_path):
    with pytest.raises(BagError, match='has no messages'):
        played(write_topics(tmp_path / 'bag.mcap', [Topic('/image', CAMERA_INFO, [])]))


def test_damage_is_told(ros, tmp_path):
    path = write_topics(tmp_path / 'bag.mcap', [
        Topic('/image', IMAGE, [(i / 100, serialized(i)) for i in range(20)], RELIABLE)])
    path.write_bytes(path.read_bytes()[:60_000])
    result, _, warned = played(path)
    assert 0 < result.messages < 20 and any('was not closed' in line for line in warned)


def test_damage_is_told_once_of_all_laps(tmp_path):
    path = write_topics(tmp_path / 'bag.mcap', [
        Topic('/image', IMAGE, [(i / 100, serialized(i)) for i in range(20)], RELIABLE)])
    path.write_bytes(path.read_bytes()[:60_000])
    warned = []
    with open_bag(path) as reader:
        laps = _laps(reader, reader.channels, 0, SECOND, True, warned.append)
        assert [lap for lap, _ in islice(laps, 60)][-1] >= 3
    assert len(warned) == 1 and 'was not closed' in warned[0]


def test_a_jump_of_the_clock_is_told_with_what_begins_behind_it(tmp_path):
    channel, warned = ros_channel('/text', TEXT), []
    times = [SECOND, 2 * SECOND, 1_700_000_000 * SECOND, 1_700_000_001 * SECOND]
    path = write_bag(tmp_path / 'bag.mcap', [Record(channel, t, t, 0, text(0)) for t in times])
    with open_bag(path) as reader:
        laps = _laps(reader, [channel], times[0], times[-1] + 1, True, warned.append)
        assert [record.time_ns for _, record in islice(laps, 8)] == 2 * times
    (line,) = warned
    assert line == ('there is nothing to play in 1699999998 s of the recording, as where its '
                    'clock was set: --start 1699999999.000 begins behind them')


def test_a_part_of_a_bag_ends_without_a_check_of_all_of_it(ros, tmp_path, monkeypatch):
    path = write_topics(tmp_path / 'bag.mcap', [
        Topic('/image', IMAGE, [(i / 100, serialized(i)) for i in range(5)], RELIABLE)])
    monkeypatch.setattr(McapFile, 'check', None, raising=False)
    assert played(path)[0].messages == 5


def test_without_ros_the_remedy_is_told(bag, monkeypatch):

    monkeypatch.setitem(sys.modules, 'rclpy', None)
    for name in FAST_DDS:
        monkeypatch.setenv(name, '')
    done = ubcn('bag', 'play', bag)
    assert done.exit_code == 1 and "pip install 'ubcn_ros[ros]'" in done.output


def test_the_command_gives_dds_room_for_images_unless_a_profile_is_set(bag, monkeypatch):

    seen = []
    monkeypatch.setattr('ubcn_ros.bags.live.play.play',
                        lambda *_: seen.append(os.environ[FAST_DDS[0]]))
    for given in ('', '/their/profile.xml'):
        for name in FAST_DDS:
            monkeypatch.setenv(name, given)
        assert ubcn('bag', 'play', bag).exit_code == 0
    assert seen == [str(ROOT / 'config' / 'fastdds.xml'), '/their/profile.xml']


@pytest.mark.integration
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_laps_go_on_until_a_signal(listen, bag, number):
    """Which ends it with code 0: of any other, launch says that the process has died."""
    from ros_client import wait_until
    from std_msgs.msg import String
    listener = listen(text=String)
    process = subprocess.Popen(
        [sys.executable, '-m', 'ubcn_ros.cli', 'bag', 'play', str(bag), '--loop', '--rate', '20',
         '--exclude', '/image', '--wait-for', '/text'], text=True, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [
            str(ROOT), os.environ.get('PYTHONPATH')]))})
    try:
        wait_until(lambda: len(listener.of('/text')) > 100 or process.poll() is not None,
                   'the third lap', 120.0)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert f'Stopped by {number.name}: ' in output and 'Traceback' not in output
    sent = [text(i % 40) for i in range(100)]
    got = listener.of('/text')[:100]  # which DDS fills up to four bytes
    assert [data[:len(as_sent)] for data, as_sent in zip(got, sent, strict=True)] == sent


def test_a_bag_of_sqlite3_is_played(ros, tmp_path):
    write_rosbag2(tmp_path / 'bag', [('/text', TEXT, SECOND + i, text(i)) for i in range(5)])
    assert played(tmp_path / 'bag')[0].messages == 5
