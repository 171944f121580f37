# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set the QoS of the node's topics, and what of it parameters may override."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QosCallbackResult, QoSOverridingOptions


def input_qos() -> QoSProfile:
    """Connect to every publisher, by best effort; only the newest image is of interest."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def output_qos() -> QoSProfile:
    """Connect to every subscriber, RViz's default included, by being reliable."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def latched_qos() -> QoSProfile:
    """Keep what is published once for whoever subscribes later."""
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
