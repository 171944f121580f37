# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set the QoS of the node's topics, and what of it parameters may override."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from ubcn_ros.node.parameters import nearest
from ubcn_ros.node.topics import DIAGNOSTICS

OVERRIDES = 'qos_overrides.'
"""What the names of parameters begin with that override QoS."""
_FIXED = tuple(f'{OVERRIDES}{topic}.' for topic in (
    DIAGNOSTICS, '/clock', '/parameter_events', '/rosout'))
_DEEPEST = 2**31 - 1  # that rclpy takes
OVERRIDABLE = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
               QoSPolicyKind.DURABILITY)
"""Policies that parameters may override."""
_KINDS = {'history': HistoryPolicy, 'reliability': ReliabilityPolicy,
          'durability': DurabilityPolicy}


def input_qos() -> QoSProfile:
    """Return the QoS of inputs: best effort, which fits every publisher; the newest image only."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def output_qos() -> QoSProfile:
    """Return the QoS of outputs: reliable, for subscribers of either kind, RViz's default, too."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def latched_qos() -> QoSProfile:
    """Return transient local QoS: what is published once reaches later subscribers, too."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.TRANSIENT_LOCAL)


def overridable() -> QoSOverridingOptions:
    """
    Return options that let parameters override QoS.

    They are named `qos_overrides.<topic>.<publisher or subscription>.<policy>`.
    """
    return QoSOverridingOptions(OVERRIDABLE)


def check_overrides(values: Mapping[str, Any]) -> None:
    """
    Check parameters that override QoS; rclpy's own errors name neither topic nor remedy.

    :param values: of parameters by name; those of other names are not looked at.
    :raises ValueError: a policy cannot have the value.
    """
    for name, value in values.items():
        policy = name.rpartition('.')[2] if name.startswith(OVERRIDES) else ''
        if policy == 'depth' and (type(value) is not int or not 1 <= value <= _DEEPEST):
            raise ValueError(f'{name} must be an integer of 1 to {_DEEPEST}, got {value!r}')
        if policy in _KINDS:
            allowed = [key for key in _KINDS[policy].short_keys() if key != 'unknown']
            if not isinstance(value, str) or value.lower() not in allowed:
                raise ValueError(f'{name} must be one of {", ".join(allowed)}, got {value!r}')


def output_depth(given: Mapping[str, Any], topic: str) -> int:
    """
    Return the depth of an output, its override included.

    :param given: parameters that the node was started with, by name.
    :param topic: resolved name.
    """
    return given.get(f'{OVERRIDES}{topic}.publisher.depth', output_qos().depth)


def unused_overrides(given: Iterable[str], declared: Iterable[str]) -> list[str]:
    """
    Describe each parameter that would override QoS, and has nothing to do it to.

    :param given: names of the parameters that the node was started with.
    :param declared: names of the parameters that it has, with all topics made.
    """
    known = [name for name in declared if name.startswith(OVERRIDES)]
    return [f"parameter '{name}' has no effect; " + (
        'the QoS of this topic is fixed' if name.startswith(_FIXED) else nearest(name, known))
        for name in given if name.startswith(OVERRIDES) and name not in known]
