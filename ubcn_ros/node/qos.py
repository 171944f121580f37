# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""QoS of the node's topics, and sentences that explain why nothing arrives."""

from __future__ import annotations

from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QosCallbackResult, QoSOverridingOptions

UNKNOWN_NODE = '_NODE_NAME_UNKNOWN_'
"""What rmw calls the node of an endpoint that was discovered before its node."""


def input_qos() -> QoSProfile:
    """Best effort connects to every publisher; only the newest image is of interest."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def output_qos() -> QoSProfile:
    """Reliable connects to every subscriber, RViz's default included."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def latched_qos() -> QoSProfile:
    """Published once, kept for whoever subscribes later."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.TRANSIENT_LOCAL)


def overridable() -> QoSOverridingOptions:
    """Let parameters `qos_overrides.<topic>.<publisher or subscription>.<policy>` override."""
    return QoSOverridingOptions(
        (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
         QoSPolicyKind.DURABILITY),
        callback=_check_override)


def _check_override(profile: QoSProfile) -> QosCallbackResult:
    result = QosCallbackResult(successful=profile.depth >= 1)
    if not result.successful:
        result.reason = f'depth must be at least 1, got {profile.depth}'
    return result


def describe(endpoint: Any) -> str:
    """Put a TopicEndpointInfo into words: node, type and QoS."""
    profile = endpoint.qos_profile
    namespace = endpoint.node_namespace.rstrip('/')
    return (f'{namespace}/{endpoint.node_name} ({endpoint.topic_type}, '
            f'{profile.reliability.name.lower()}, {profile.durability.name.lower()})')


def explain_incompatible(node: Any, topic: str, kind: Any, subscribing: bool) -> str:
    """
    Word the warning for an endpoint on the other side whose QoS does not fit.

    :param node: the rclpy node, asked for the other side's endpoints.
    :param topic: resolved name.
    :param kind: policy that does not fit, as in the event.
    :param subscribing: whether our side subscribes.
    """
    policy = qos_policy_name_from_kind(kind).lower()
    if subscribing:
        others, side, ours = node.get_publishers_info_by_topic(topic), 'publisher', 'subscription'
    else:
        others, side, ours = node.get_subscriptions_info_by_topic(topic), 'subscriber', 'publisher'
    return (f'{topic}: a {side} with incompatible QoS, no messages pass between us. Policy: '
            f'{policy}. {side.capitalize()}s there: {", ".join(map(describe, others)) or "gone"}. '
            f"Change {policy} in that {side}, or ours with the parameter "
            f"'qos_overrides.{topic}.{ours}.{policy}'")


def explain_silence(node: Any, topic: str, wanted_type: str, seconds: float) -> str:
    """
    Say why no image may be arriving: who publishes on the topic, as what, with which QoS.

    :param node: the rclpy node.
    :param topic: resolved name of the subscription.
    :param wanted_type: its type, like sensor_msgs/msg/Image.
    :param seconds: time without a message.
    """
    publishers = node.get_publishers_info_by_topic(topic)
    text = f'no image on {topic} for {seconds:.0f} s: '
    if not publishers:
        own = {topic, *(publisher.topic_name for publisher in node.publishers)}
        like = sorted(name for name, types in node.get_topic_names_and_types()
                      if wanted_type in types and name not in own)
        hint = f"topics of type {wanted_type} are {', '.join(like)}" if like else \
            f'nobody publishes {wanted_type} at all; is the camera driver running, in this ' \
            'ROS_DOMAIN_ID?'
        return f"{text}0 publishers; remap image to the camera's topic; {hint}"
    text += f'{len(publishers)} publisher(s): {", ".join(map(describe, publishers))}; '
    if all(publisher.topic_type != wanted_type for publisher in publishers):
        return (f'{text}we subscribe to {wanted_type}: remap to a topic of that type or change '
                'input_transport')
    return (f'{text}the driver is connected but sends nothing, or large messages are lost: run '
            'it with the shared-memory profile config/fastdds.xml')
