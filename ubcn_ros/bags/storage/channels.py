# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Make channels, and tell their definition and QoS, as rosbag2 stores them."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from rosbags.rosbag2.metadata import dump_qos_v9, parse_qos

from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.records import Channel

QOS, HASH = 'offered_qos_profiles', 'topic_type_hash'
"""Names of a channel's metadata."""
_FOREVER = {'sec': 9223372036, 'nsec': 854775807}  # RMW_DURATION_INFINITE


def ros_channel(topic: str, msgtype: str, depth: int = 5, latched: bool = False) -> Channel:
    """
    Make a channel of one of `TYPES`, reliable as the node's outputs are.

    :param msgtype: like 'sensor_msgs/msg/Image'.
    :param depth: of its history.
    :param latched: whether later subscribers get the last message, too.
    """
    return with_definition(Channel(topic, msgtype, 'cdr', metadata=(
        (QOS, reliable_qos(depth, latched)), (HASH, TYPES.hash_rihs01(msgtype)))))


def reliable_qos(depth: int, latched: bool = False) -> str:
    """Return a reliable QoS profile as a channel's metadata have it."""
    profile = {
        'history': 'keep_last', 'depth': depth, 'reliability': 'reliable',
        'durability': 'transient_local' if latched else 'volatile', 'deadline': _FOREVER,
        'lifespan': _FOREVER, 'liveliness': 'automatic', 'liveliness_lease_duration': _FOREVER,
        'avoid_ros_namespace_conventions': False}
    return dump_yaml([profile]).strip()


@cache
def with_definition(channel: Channel) -> Channel:
    """Return a channel with the standard definition of its type, where it has none of its own."""
    if channel.schema_name or not channel.msgtype:
        return channel
    if channel.encoding != 'cdr' or channel.msgtype not in TYPES.fielddefs:
        return channel._replace(schema_name=channel.msgtype)
    text, _ = TYPES.generate_msgdef(channel.msgtype, ros_version=2)
    return channel._replace(schema_name=channel.msgtype, schema_encoding='ros2msg',
                            definition=text.encode())


def qos_profiles(channel: Channel) -> list[dict[str, Any]]:
    """Return the QoS that was offered, by names; none where it cannot be read."""
    try:
        return dump_qos_v9(parse_qos(dict(channel.metadata).get(QOS, '')))
    except Exception:  # a text of any content
        return []


def dump_yaml(document: Any) -> str:
    """Write YAML in the order of the document, without references, which few readers know."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Repeats what comes twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Ignore them all."""
        return True
