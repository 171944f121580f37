# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What publishers had offered is offered again, so that every subscriber of theirs connects."""

import sys
from functools import cache
from itertools import product

import pytest
import yaml
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from ubcn_ros.bags import IMAGE, McapBagWriter, Record, make_header, open_bag
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.bags.storage.offered_qos import (
    DEPTH,
    latched_before,
    latched_depth,
    merged_offer,
    recorded_offers,
    strictest,
    to_profile,
)
from ubcn_ros.bags.storage.records import Channel

FOREVER = {'sec': 9223372036, 'nsec': 854775807}
# of a camera driver, as rosbag2 has written it since Jazzy, and before
NAMED = {'history': 'keep_last', 'depth': 5, 'reliability': 'best_effort',
         'durability': 'transient_local', 'deadline': {'sec': 0, 'nsec': 50_000_000},
         'lifespan': FOREVER, 'liveliness': 'manual_by_topic',
         'liveliness_lease_duration': {'sec': 2, 'nsec': 0},
         'avoid_ros_namespace_conventions': False}
NUMBERED = {**NAMED, 'history': 3, 'depth': 0, 'reliability': 1, 'durability': 2, 'liveliness': 1,
            'deadline': FOREVER, 'liveliness_lease_duration': FOREVER}


def channel(*offers):
    return Channel('/image', IMAGE, 'cdr', metadata=(
        ('offered_qos_profiles', yaml.safe_dump(list(offers))),))


def test_offers_are_read_as_rosbag2_writes_them():
    named, numbered = recorded_offers([channel(NAMED), channel(NUMBERED)])
    assert named == Qos(QosHistory.KEEP_LAST, 5, QosReliability.BEST_EFFORT,
                        QosDurability.TRANSIENT_LOCAL, QosTime(0, 50_000_000),
                        QosTime(9223372036, 854775807), QosLiveliness.MANUAL_BY_TOPIC,
                        QosTime(2, 0), False)
    assert (numbered.history, numbered.reliability, numbered.durability) == (
        QosHistory.UNKNOWN, QosReliability.RELIABLE, QosDurability.VOLATILE)


@pytest.mark.parametrize('text', ['', '[', 'x', '3', '- 3', '- {history: 1}', '[[]]', '{}'])
def test_what_cannot_be_read_is_no_offer(text):
    assert recorded_offers([Channel('/a', IMAGE, 'cdr', metadata=(
        ('offered_qos_profiles', text),)), Channel('/a', IMAGE, 'cdr')]) == []


@pytest.mark.parametrize('name', ['deadline', 'lifespan', 'liveliness_lease_duration'])
def test_times_and_depths_that_are_no_numbers_are_no_offer(name):
    for change in ({name: {'sec': '9m6', 'nsec': 0}}, {name: {'sec': 1.5, 'nsec': 0}},
                   {'depth': 'few'}):
        assert recorded_offers([channel({**NAMED, **change}), channel(NUMBERED)]) == \
            recorded_offers([channel(NUMBERED)])


def test_numbers_of_older_versions_are_written_as_names(tmp_path):
    numbered = channel(NUMBERED, {**NUMBERED, 'durability': 1})
    with McapBagWriter(tmp_path / 'bag') as writer:
        for each in (numbered, channel(NAMED)._replace(topic='/b')):
            writer.write(Record(each, 1, 1, 0, b'\0\1\0\0'))
    with open_bag(tmp_path / 'bag') as reader:
        texts = {found.topic: dict(found.metadata)['offered_qos_profiles']
                 for found in reader.channels}
        assert recorded_offers(reader.channels) == recorded_offers([numbered, channel(NAMED)])
    assert [offer['durability'] for offer in yaml.safe_load(texts['/image'])] == [
        'volatile', 'transient_local']
    assert texts['/b'] == dict(channel(NAMED).metadata)['offered_qos_profiles']


def test_the_strictest_of_several_is_offered():
    both = strictest(recorded_offers([channel(NAMED, NUMBERED)]))
    assert both == Qos(QosHistory.KEEP_LAST, 5 + DEPTH, QosReliability.RELIABLE,
                       QosDurability.TRANSIENT_LOCAL, QosTime(0, 50_000_000),
                       QosTime(9223372036, 854775807), QosLiveliness.MANUAL_BY_TOPIC,
                       QosTime(2, 0), False)
    assert strictest(recorded_offers([channel({**NUMBERED, 'history': 'keep_all'})])
                     ).history == QosHistory.KEEP_ALL


@pytest.mark.parametrize('change, depth', [
    ({}, DEPTH), ({'depth': 30}, 30), ({'depth': 0}, DEPTH),
    ({'history': 'keep_all'}, sys.maxsize), ({'depth': 2**64 - 1}, sys.maxsize),
    ({'durability': 'volatile'}, 0)])
def test_of_a_latched_topic_the_last_messages_count(change, depth):
    assert latched_depth([channel({**NAMED, **change})]) == depth
    assert latched_depth([Channel('/a', IMAGE, 'cdr')]) == 0


@pytest.mark.parametrize('topic', ['/tf_static', '/robot1/tf_static', 'tf_static'])
def test_static_transforms_are_latched_where_nothing_is_said(topic):
    static = Channel(topic, 'tf2_msgs/msg/TFMessage', 'cdr')
    assert latched_depth([static]) == sys.maxsize  # of many publishers
    assert merged_offer([static]).durability == QosDurability.TRANSIENT_LOCAL
    volatile = channel({**NAMED, 'durability': 'volatile'})
    assert merged_offer([static._replace(metadata=volatile.metadata)]).durability == (
        QosDurability.VOLATILE)
    for other in (static._replace(topic='/tf'), static._replace(topic='/my_tf_static'),
                  static._replace(msgtype=IMAGE)):
        assert merged_offer([other]) is None


def transforms(topic, time, *frames):
    types = TYPES.types
    vector = types['geometry_msgs/msg/Vector3'](time, 0, 0)
    rotation = types['geometry_msgs/msg/Quaternion'](0, 0, 0, 1)
    message = types['tf2_msgs/msg/TFMessage']([types['geometry_msgs/msg/TransformStamped'](
        make_header(time, 'base'), frame, types['geometry_msgs/msg/Transform'](vector, rotation))
        for frame in frames])
    return Record(ros_channel(topic, 'tf2_msgs/msg/TFMessage', 1, latched=True), time, time,
                  0, bytes(TYPES.serialize_cdr(message, 'tf2_msgs/msg/TFMessage')))


@pytest.mark.parametrize('topic', ['/tf_static', '/robot1/tf_static'])
def test_all_static_transforms_are_there_later_and_of_others_what_was_kept(tmp_path, topic):
    """Of a vehicle with a publisher for each sensor, of which one offer was recorded."""
    static = [transforms(topic, 10 + n, f'sensor_{n}') for n in range(15)]
    again = [transforms(topic, 30 + n, 'sensor_3', 'gps') for n in range(5)]
    broken = static[0]._replace(time_ns=40, data=b'\0\1\0\0\xff')
    maps = [Record(ros_channel('/map', IMAGE, 1, latched=True), 50 + n, 50, 0, b'map')
            for n in range(DEPTH + 3)]
    with McapBagWriter(tmp_path / 'bag') as writer:
        for record in [*static, *again, broken, *maps, static[0]._replace(time_ns=90)]:
            writer.write(record)
    with open_bag(tmp_path / 'bag') as reader:
        found = latched_before(reader, reader.channels, 90)
        assert [record[1:] for record in found] == [
            record[1:] for record in [*static, again[-1], broken, *maps[-DEPTH:]]]
        assert latched_before(reader, [], 90) == []
        assert len(latched_before(reader, reader.channels, 15)) == 5


def test_one_best_effort_publisher_stays_one():
    offer, = recorded_offers([channel({**NAMED, 'depth': 30, 'durability': 'volatile'})])
    assert strictest([offer]).reliability == QosReliability.BEST_EFFORT
    assert strictest([offer]).depth == 30
    assert strictest([offer._replace(depth=1)]).depth == DEPTH


OFFERS = [
    {**NUMBERED, 'reliability': reliability, 'durability': durability, 'deadline': deadline,
     'liveliness': liveliness, 'liveliness_lease_duration': lease}
    for reliability, durability, deadline, liveliness, lease in product(
        (1, 2), (1, 2), (FOREVER, {'sec': 1, 'nsec': 0}), (1, 3),
        (FOREVER, {'sec': 3, 'nsec': 0}))]


def test_every_subscriber_of_one_of_the_publishers_connects_to_the_player():
    qos = pytest.importorskip('rclpy.qos')
    offers = recorded_offers([channel(*OFFERS)])

    @cache  # many pairs are merged into the same
    def subscribers(offer):
        profile = to_profile(offer)
        return {request for request in offers if qos.qos_check_compatible(
            profile, to_profile(request))[0] != qos.QoSCompatibility.ERROR}

    assert any(len(subscribers(offer)) < len(offers) for offer in offers)
    for first, second in product(offers, repeat=2):
        merged = strictest([first, second])
        assert subscribers(first) | subscribers(second) <= subscribers(merged), (first, second)


def test_without_an_offer_it_is_the_default_of_ros():
    qos = pytest.importorskip('rclpy.qos')
    assert to_profile(None) == qos.QoSProfile(depth=10)
