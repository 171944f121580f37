# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Make channels, with their definition and QoS as rosbag2 stores them."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v9

from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.records import Channel

QOS, HASH = 'offered_qos_profiles', 'topic_type_hash'
"""Names of a channel's metadata."""
NO_LIMIT = QosTime(9_223_372_036, 854_775_807)
"""RMW_DURATION_INFINITE."""


@cache
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
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    profile = Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, NO_LIMIT,
                  NO_LIMIT, QosLiveliness.AUTOMATIC, NO_LIMIT, False)
    return dump_yaml(dump_qos_v9([profile])).strip()


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


def read_yaml(text: str) -> Any:
    """Read a YAML document; yaml.YAMLError where it is none."""
    return yaml.load(text, _LOADER)


def dump_yaml(document: Any) -> str:
    """Write YAML in the order of the document, without references, which few readers know."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


# in C, where PyYAML has it: in Python, metadata.yaml takes longer to read than a short bag
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class _Dumper(getattr(yaml, 'CSafeDumper', yaml.SafeDumper)):
    """Repeats what comes twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Ignore them all."""
        return True
