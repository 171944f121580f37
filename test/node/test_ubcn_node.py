# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in this process: what it takes and reports, and what stays behind."""

import threading

import pytest

pytest.importorskip('rclpy')
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from ubcn_ros.node.diagnostics import Level, resident_mib  # noqa: E402
from ubcn_ros.node.diagnostics_publisher import engine_report  # noqa: E402
from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402


def make_node(**parameters):
    return UBCNNode(parameter_overrides=[
        Parameter(name, value=value) for name, value in parameters.items()])


def test_many_lifecycles_leave_nothing_behind(ros, tiny_model):
    node = make_node(model=str(tiny_model), device='cpu', precision='fp32', iterations=1,
                     warm_up_width=32, warm_up_height=32)
    steps = (node.trigger_configure, node.trigger_activate, node.trigger_deactivate,
             node.trigger_cleanup)
    memory = {}
    try:
        publishers = len(list(node.publishers))
        for cycle in range(60):
            for step in steps:
                assert step() == TransitionCallbackReturn.SUCCESS, (cycle, step)
            if cycle in (19, 59):
                memory[cycle] = resident_mib()
        assert len(list(node.publishers)) == publishers
        assert not list(node.subscriptions) or all(
            'image' not in subscription.topic_name for subscription in node.subscriptions)
        assert not [thread for thread in threading.enumerate() if thread.name == 'engine']
    finally:
        assert node.stop(10.0)
        node.destroy_node()
    assert memory[59] - memory[19] < 5.0, memory


def test_a_model_with_untrained_parts_is_refused_unless_allowed(ros, partial_model):
    parameters = {'model': str(partial_model), 'device': 'cpu', 'precision': 'fp32',
                  'warm_up_width': 0}
    for allowed in (False, True):
        node = make_node(**parameters, allow_partial_model=allowed)
        expected = TransitionCallbackReturn.SUCCESS if allowed else \
            TransitionCallbackReturn.FAILURE
        try:
            assert node.trigger_configure() == expected
            report = engine_report(node)
            assert report.level == Level.WARN
            if allowed:
                assert 'random numbers for derain and attention' in report.message
                assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        finally:
            assert node.stop(10.0)
            node.destroy_node()
