# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publish /diagnostics: a status of the engine and one of each camera, once a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from ubcn_ros.node.diagnostics import DiagnosticReport, Level, Throttle, resident_mib
from ubcn_ros.node.parameter_spec import Spec
from ubcn_ros.node.topics import DIAGNOSTICS


class DiagnosticsPublisher:
    """Publishes what the node says of itself, in every state of its lifecycle."""

    def __init__(self, node: Any):
        """
        Start publishing.

        :param node: the UBCNNode, asked for its state, engine, cameras and settings.
        """
        self._node = node
        self._throttle = Throttle(60.0)
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)
        # Diagnostics go on when simulated time stands still.
        self._timer = node.create_timer(1.0, self.publish,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish_if_due(self) -> None:
        """
        Publish where the timer would have, for a callback that keeps it waiting.

        Of the cameras nothing is said, whose images wait, too. Whatever fails is counted: the
        callback has more to do.
        """
        if not self._timer.is_ready():
            return
        self._timer.reset()
        try:
            self._publish([])
        except Exception as error:
            self._node.callback_failed('diagnostics', error)

    def publish(self) -> None:
        """Publish all reports; the log hears of what the images need."""
        if self._node.engine is not None:
            self._node.explain_room()
        self._publish(self._node.cameras)

    def _publish(self, cameras: Sequence[Any]) -> None:
        node, message = self._node, DiagnosticArray()
        message.header.stamp = node.get_clock().now().to_msg()
        name = node.get_fully_qualified_name().lstrip('/')
        engine = engine_report(node)
        if warning := self._duplicate_name_warning():
            engine.add(Level.WARN, warning)
        if node.not_resized:
            engine.add(Level.WARN, node.not_resized)
        node.callback_errors.put_into(engine)
        message.status = [status_message(f'{name}: engine', engine, node.settings.model)]
        deadline_ms = node.settings.deadline_ms
        message.status += [
            status_message(f'{name}: {camera.name}', camera.report(deadline_ms), camera.topic)
            for camera in cameras]
        self._publisher.publish(message)

    def _duplicate_name_warning(self) -> str:
        """Warn where another node has the name of this one; return '' where none has."""
        node = self._node
        own = (node.get_name(), node.get_namespace())
        count = node.get_node_names_and_namespaces().count(own)
        if count < 2:
            return ''
        text = (f'{count} nodes are named {node.get_fully_qualified_name()}: parameters and '
                'lifecycle services reach any of them; rename one with -r __node:=NAME or '
                '-r __ns:=/NAMESPACE')
        if self._throttle.passes('duplicate name') is not None:
            node.get_logger().warning(text)
        return text


def engine_report(node: Any) -> DiagnosticReport:
    """
    Summarise the engine: what it is and where it runs, or why there is none.

    :param node: the UBCNNode.
    """
    memory = {'resident memory (MiB)': f'{resident_mib():.1f}'}
    engine, settings = node.engine, node.settings
    if engine is None:
        why = node.failure or (f'loading {settings.model}' if node.configured
                               else 'no model loaded')
        return DiagnosticReport(Level.ERROR if node.failure else Level.WARN,
                                f'{node.lifecycle_state}: {why}', memory)
    if engine.device.type == 'cuda':
        import torch
        memory['GPU memory (MiB)'] = f'{torch.cuda.memory_reserved(engine.device) / 2**20:.1f}'
    untrained = engine.info.untrained_text()
    lost = node.gpu_lost if engine.device.type == 'cuda' else ''
    level = Level.ERROR if lost else Level.WARN if untrained else Level.OK
    text = lost or untrained or f'{engine.info.name} on {engine.device}'
    return DiagnosticReport(level, text, {
        'model': engine.info.name, 'model sha256': engine.info.sha256,
        'device': str(engine.device), 'precision': engine.precision,
        'backend': engine.backend, 'iterations': str(settings.iterations),
        'deadline (ms)': f'{settings.deadline_ms:g}',
        'convergence (of 255)': f'{settings.convergence:g}',
        'processing size (asked for)': Spec.typed(settings.processing_size),
        'min confidence': f'{settings.min_confidence:g}', **memory})


def status_message(name: str, report: DiagnosticReport, hardware_id: str) -> DiagnosticStatus:
    """
    Put a report into a message.

    :param hardware_id: what is reported on: a model, a topic.
    """
    return DiagnosticStatus(
        level=bytes([report.level]), name=name, message=report.message, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in report.values.items()])
