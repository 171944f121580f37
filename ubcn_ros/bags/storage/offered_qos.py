# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The QoS that publishers had offered when their topic was recorded, to offer it again."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v9, parse_qos

from ubcn_ros.bags.messages import deserialize
from ubcn_ros.bags.storage.channels import NO_LIMIT, QOS, dump_yaml, reliable_qos
from ubcn_ros.bags.storage.records import Channel, Record, by_kind

if TYPE_CHECKING:
    from ubcn_ros.bags.storage.reader import BagReader

DEPTH = 10
"""Messages kept for a publisher whose depth was not recorded, as ROS 2 does by default."""
_NUMBERED = re.compile(r'\bhistory: *\d')
_NEVER = QosTime(2**31 - 1, 0)  # from here on implementations mean that there is no limit


def recorded_offers(channels: Iterable[Channel]) -> list[Qos]:
    """Return what the publishers of these channels had offered, as far as it can be read."""
    offers = []
    for channel in channels:
        try:
            offers += _parsed(dict(channel.metadata).get(QOS, ''))
        except Exception:  # text of any recorder, or damaged: errors of many kinds
            continue
    return offers


@cache  # the cameras and the pieces of a drive offer the same
def _parsed(text: str) -> list[Qos]:
    offers = parse_qos(text)
    for offer in offers:
        numbers = (offer.depth, *offer.deadline, *offer.lifespan,
                   *offer.liveliness_lease_duration)
        if not all(isinstance(number, int) for number in numbers):
            raise ValueError(f'{numbers} are not all whole numbers')
    return offers


def with_named_policies(channel: Channel) -> Channel:
    """
    Return a channel whose offers name their policies, as rosbag2 reads them since Jazzy.

    Those that cannot be read stay as they are.
    """
    if not _NUMBERED.search(dict(channel.metadata).get(QOS, '')):
        return channel
    offers = recorded_offers([channel])
    text = dump_yaml(dump_qos_v9(offers)).strip()
    return channel._replace(metadata=tuple(
        (name, text if name == QOS and offers else value) for name, value in channel.metadata))


def holds_static_transforms(channel: Channel) -> bool:
    """Return whether a channel is of /tf_static, of a robot in a namespace, too."""
    return (channel.msgtype == 'tf2_msgs/msg/TFMessage'
            and channel.topic.rpartition('/')[2] == 'tf_static')


def strictest(offers: Sequence[Qos]) -> Qos | None:
    """
    Merge offers into one that every subscriber can connect to that could to one of them.

    :return: None where there is none. It keeps `DEPTH` messages at least: the offers of publishers
        that began after the recorder are not recorded.
    """
    if not offers:
        return None
    latched = any(offer.durability == QosDurability.TRANSIENT_LOCAL for offer in offers)
    depths = [offer.depth or DEPTH for offer in offers]
    return Qos(
        history=(QosHistory.KEEP_ALL if any(offer.history == QosHistory.KEEP_ALL
                                            for offer in offers) else QosHistory.KEEP_LAST),
        # one publisher keeps for later subscribers what several had kept
        depth=max(DEPTH, sum(depths) if latched else max(depths)),
        reliability=(QosReliability.BEST_EFFORT if all(
            offer.reliability == QosReliability.BEST_EFFORT for offer in offers)
            else QosReliability.RELIABLE),
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_shortest(offer.deadline for offer in offers),
        lifespan=_longest(offer.lifespan for offer in offers),
        liveliness=(QosLiveliness.MANUAL_BY_TOPIC if any(
            offer.liveliness == QosLiveliness.MANUAL_BY_TOPIC for offer in offers)
            else QosLiveliness.AUTOMATIC),
        liveliness_lease_duration=_shortest(offer.liveliness_lease_duration for offer in offers),
        avoid_ros_namespace_conventions=all(offer.avoid_ros_namespace_conventions
                                            for offer in offers))


def merged_offer(channels: Sequence[Channel]) -> Qos | None:
    """
    Merge what the publishers of a topic had offered; None where nothing was recorded.

    Then static transforms count as latched: a listener of tf2 connects to no other publisher.
    """
    offers = recorded_offers(channels)
    if not offers and holds_static_transforms(channels[0]):
        offers = _parsed(reliable_qos(DEPTH, latched=True))
    return strictest(offers)


def latched_depth(channels: Sequence[Channel]) -> int:
    """
    Return how many of the last messages of a topic a later subscriber gets; 0: it is not latched.

    Of static transforms all: a vehicle has many publishers of them, each with a few.
    """
    offer = merged_offer(channels)
    if offer is None or offer.durability != QosDurability.TRANSIENT_LOCAL:
        return 0
    if offer.history == QosHistory.KEEP_ALL or holds_static_transforms(channels[0]):
        return sys.maxsize
    return min(offer.depth, sys.maxsize)


def latched_before(reader: BagReader, channels: Iterable[Channel], before_ns: int
                   ) -> list[Record]:
    """
    List what a subscriber that comes at a time of a recording gets of latched topics.

    These are their last records from before, in the order of recording; of static transforms the
    last for each set of frames.
    """
    topics = by_kind(channels)
    depths = {kind: latched_depth(group) for kind, group in topics.items()}
    kept: dict[tuple[str, str, str], dict[Any, Record]] = {kind: {} for kind in topics}
    latched = [channel for kind, group in topics.items() if depths[kind] for channel in group]
    for number, record in enumerate(reader.records(latched, end_ns=before_ns)):
        kind = record.channel.kind
        key = _frames(record) if holds_static_transforms(record.channel) else number
        kept[kind].pop(key, None)  # its place is that of the last
        kept[kind][key] = record
        if len(kept[kind]) > depths[kind]:
            del kept[kind][next(iter(kept[kind]))]
    return sorted(chain.from_iterable(records.values() for records in kept.values()),
                  key=attrgetter('time_ns'))


def _frames(record: Record) -> Any:
    """Return the child frames of static transforms; the data where they cannot be read."""
    try:
        message = deserialize(record.data, record.channel.msgtype)
        return tuple(transform.child_frame_id for transform in message.transforms)
    except Exception:  # malformed: errors of many kinds
        return bytes(record.data)


def to_profile(offer: Qos | None) -> Any:
    """Return rclpy's QoSProfile of an offer; that of ROS 2 by default for None."""
    from rclpy.duration import Duration
    from rclpy.qos import (
        DurabilityPolicy,
        HistoryPolicy,
        LivelinessPolicy,
        QoSProfile,
        ReliabilityPolicy,
    )
    if offer is None:
        return QoSProfile(depth=DEPTH)

    def duration(time: QosTime) -> Duration:
        return Duration(seconds=time.sec, nanoseconds=time.nsec)

    return QoSProfile(
        history=HistoryPolicy[offer.history.name], depth=offer.depth,
        reliability=ReliabilityPolicy[offer.reliability.name],
        durability=DurabilityPolicy[offer.durability.name],
        deadline=duration(offer.deadline), lifespan=duration(offer.lifespan),
        liveliness=LivelinessPolicy[offer.liveliness.name],
        liveliness_lease_duration=duration(offer.liveliness_lease_duration),
        avoid_ros_namespace_conventions=offer.avoid_ros_namespace_conventions)


def _shortest(times: Iterable[QosTime]) -> QosTime:
    return min(filter(_is_limit, times), default=NO_LIMIT)


def _longest(times: Iterable[QosTime]) -> QosTime:
    times = list(times)
    return max(times) if all(map(_is_limit, times)) else NO_LIMIT


def _is_limit(time: QosTime) -> bool:
    return QosTime(0, 0) < time < _NEVER  # 0 is what was not specified
