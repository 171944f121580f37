# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in this process: what it warms up for and asks of the engine, and what stays behind."""

import threading

import pytest

pytest.importorskip('rclpy')
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_peer import image_message  # noqa: E402
from stand_in import StandInEngine  # noqa: E402

from ubcn_ros.node import ubcn_node  # noqa: E402
from ubcn_ros.node.diagnostics import Level, resident_mib  # noqa: E402
from ubcn_ros.node.jobs import Arrival  # noqa: E402
from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402


def make_node(**parameters):
    return UBCNNode(parameter_overrides=[
        Parameter(name, value=value) for name, value in parameters.items()])


def test_a_hundred_lifecycles_leave_nothing_behind(ros, tiny_model):
    node = make_node(model=str(tiny_model), device='cpu', precision='fp32', iterations=1,
                     warm_up_width=32, warm_up_height=32)
    steps = (node.trigger_configure, node.trigger_activate, node.trigger_deactivate,
             node.trigger_cleanup)
    memory = {}
    try:
        publishers = len(list(node.publishers))
        for cycle in range(100):
            for step in steps:
                assert step() == TransitionCallbackReturn.SUCCESS, (cycle, step)
            if cycle in (29, 99):
                memory[cycle] = resident_mib()
        assert len(list(node.publishers)) == publishers
        assert not list(node.subscriptions) or all(
            'image' not in subscription.topic_name for subscription in node.subscriptions)
        assert not [thread for thread in threading.enumerate() if thread.name == 'engine']
    finally:
        assert node.stop(10.0)
        node.destroy_node()
    assert memory[99] - memory[29] < 8.0, memory


def test_a_model_with_untrained_parts_is_refused_unless_allowed(ros, partial_model):
    parameters = {'model': str(partial_model), 'device': 'cpu', 'precision': 'fp32',
                  'warm_up_width': 0}
    for allowed in (False, True):
        node = make_node(**parameters, allow_partial_model=allowed)
        expected = TransitionCallbackReturn.SUCCESS if allowed else \
            TransitionCallbackReturn.FAILURE
        try:
            assert node.trigger_configure() == expected
            report = node._engine_report()
            assert report.level == Level.WARN
            if allowed:
                assert 'random numbers for derain and attention' in report.message
                assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        finally:
            assert node.stop(10.0)
            node.destroy_node()


@pytest.fixture
def configured(ros):
    """Make nodes that are configured around an engine, without autostart; ended afterwards."""
    nodes = []

    def make(engine, **parameters):
        node = UBCNNode(lambda settings, progress: engine, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
        nodes.append(node)
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        return node

    yield make
    for node in nodes:
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS and node.stop(10.0)
        node.destroy_node()


class Counting(StandInEngine):
    """Notes what it is warmed up for."""

    def warm_up(self, height, width, progress=None, count=1):
        super().warm_up(height, width, progress, count)
        self.calls.append((height, width, count))


@pytest.mark.parametrize('behaviour, cameras, warm, most', [
    ('fast', [], 1, 1), ('fast', ['front', 'left', 'right'], 3, 3),
    ('fast', list('abcdef'), ubcn_node.LARGEST_BATCH, ubcn_node.LARGEST_BATCH),
    ('most:2', ['front', 'left', 'right'], 2, 2)])
def test_every_batch_that_can_come_is_warmed_up(configured, behaviour, cameras, warm, most):
    engine = Counting(behaviour)
    node = configured(engine, warm_up_height=48, warm_up_width=64,
                      **{'cameras': cameras} if cameras else {})
    assert engine.calls == [(48, 64, count) for count in range(1, warm + 1)]
    assert node._worker.most == most


def test_without_warm_up_batches_are_bounded_all_the_same(configured):
    engine = Counting()
    node = configured(engine, warm_up_height=0, cameras=['front', 'left'])
    assert not engine.calls and node._worker.most == 2


def test_a_batch_has_to_be_done_in_time_to_publish_all_of_it(configured, monkeypatch):
    engine = StandInEngine()
    node = configured(engine, cameras=['front', 'left', 'right'], deadline_ms=50.0)
    batch = []
    for camera, seconds in zip(node._cameras, (0.02, 0.01, 0.005), strict=True):
        monkeypatch.setattr(camera, '_wanted', lambda topic: True)
        monkeypatch.setattr(camera, '_transport', 'raw')
        camera._publishing.add(seconds)  # the time measured before
        batch.append((camera, Arrival(image_message(), 100.0)))
    node._process(batch)
    deadlines = [call['deadline'] for call in engine.calls if 'deadline' in call]
    assert deadlines == pytest.approx([100.05 - 0.035] * 3)
