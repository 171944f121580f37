# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The other side of the topics: a node of the tests, and the node under test as a process."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ubcn_ros.bags.live.node_process import NodeProcess as UbcnProcess
from ubcn_ros.images.messages import fill_image

HERE = Path(__file__).parent
TIMEOUT = 120.0  # only a test that fails waits so long; under load PyTorch took a minute to load
TRANSITIONS = {'configure': 1, 'cleanup': 2, 'activate': 3, 'deactivate': 4}


def wait_until(condition, what: str, timeout: float = TIMEOUT):
    """Return the condition's value once it is true; fail naming what was waited for."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f'waited {timeout:g} s in vain for {what}'
        time.sleep(0.01)
    return value


def lossless_inputs(cameras=(), input_transport='raw', **_) -> dict:
    """Return the QoS overrides that make the images of these parameters' cameras reliable."""
    image = '/image/compressed' if input_transport == 'compressed' else '/image'
    return {f'qos_overrides.{prefix}{topic}.subscription.{policy}': value
            for prefix in [f'/{name}' for name in cameras] or ['']
            for topic in (image, '/camera_info')
            for policy, value in (('reliability', 'reliable'), ('depth', 500))}


class NodeProcess(UbcnProcess):
    """The node in its own process, the real one or with the fake engine."""

    def __init__(self, log: Path, fake_engine: bool = False, environment: dict | None = None,
                 lossless: bool = True, remap: dict[str, str] | None = None,
                 params_file: Path | None = None, **parameters):
        """
        Start it; its output goes to `log`.

        Its best-effort inputs may lose a message whenever the machine is busy elsewhere, so tests
        that count messages need `lossless`: inputs that are reliable and keep 500.
        """
        program = [str(HERE / 'fake_engine.py')] if fake_engine else ['-m', 'ubcn_ros.node.main']
        if params_file:
            program += ['--ros-args', '--params-file', str(params_file)]
        if lossless:
            parameters = {**lossless_inputs(**parameters), **parameters}
        paths = [str(HERE.parents[1]), *filter(None, [os.environ.get('PYTHONPATH')])]
        with patch.dict(os.environ, {'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(paths),
                                     **(environment or {})}):
            super().__init__(log, parameters, remap or {}, program)
            self.__enter__()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors='replace')

    def wait_for_log(self, text: str) -> None:
        """Wait until it has printed this."""
        wait_until(lambda: text in self.output or self.process.poll() is not None,
                   f"'{text}' in the log:\n{self.output}")
        assert text in self.output, f"ended without '{text}':\n{self.output}"

    def wait(self) -> int:
        """Wait until it ends by itself; return the exit code."""
        return self.process.wait(TIMEOUT)

    def end(self, number: int) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.wait()


class RosClient:
    """Publishes to the node under test and records what it publishes."""

    def __init__(self, name: str):
        """Make a node of this name and spin it in a thread."""
        self.node = rclpy.create_node(name)
        self.received: dict[str, list] = {}
        self.times: dict[str, list[float]] = {}
        self._publishers: dict[str, object] = {}
        self._diagnostics: DiagnosticArray | None = None
        self.diagnostics_count = 0
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take the node down."""
        self._executor.shutdown()
        self._thread.join(TIMEOUT)
        self.node.destroy_node()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._diagnostics = message
        self.diagnostics_count += 1

    def reports(self) -> dict[str, dict[str, str]]:
        """Wait for a report that is complete as of now; return each status' values by its name."""
        after = self.diagnostics_count
        wait_until(lambda: self.diagnostics_count > after, 'diagnostics')
        return {status.name.rpartition(': ')[2]: {
            **{item.key: item.value for item in status.values},
            'level': str(ord(status.level)), 'message': status.message}
            for status in self._diagnostics.status}

    def diagnostics(self, what: str = 'camera') -> dict[str, str]:
        """Return the values and the message of one status of such a report."""
        return self.reports().get(what, {})

    def counted(self, before: dict[str, str], what: str = 'camera', **changes: int
                ) -> dict[str, str]:
        """Wait until these counts have grown by just so much since `before`; return the report."""
        grown: dict[str, int] = {}

        def reached():
            values = self.diagnostics(what)
            grown.update({name: int(values[name]) - int(before[name]) for name in changes})
            return values if grown == changes else None

        try:
            return wait_until(reached, f'counts to grow by {changes}', 10.0)
        except AssertionError as error:
            raise AssertionError(f'{error}; they grew by {grown}') from None

    def record(self, topic: str, kind: type = Image) -> list:
        """Subscribe, wait for the publisher, and return the growing list of messages."""
        if topic not in self.received:
            self.received[topic], self.times[topic] = [], []

            def note(message):
                self.times[topic].append(time.monotonic())
                self.received[topic].append(message)

            self.node.create_subscription(kind, topic, note, 10)
            wait_until(lambda: self.node.count_publishers(topic), f'a publisher of {topic}')
        return self.received[topic]

    def publisher(self, topic: str, kind: type = Image, best_effort: bool = False):
        """Return a publisher with the node under test as its subscriber."""
        if topic not in self._publishers:
            profile = QoSProfile(depth=5)
            if best_effort:
                profile.reliability = ReliabilityPolicy.BEST_EFFORT
            self._publishers[topic] = self.node.create_publisher(kind, topic, profile)
        return self._publishers[topic]

    def stop_publishing(self, topic: str) -> None:
        """Take the publisher of this topic down, as a driver that goes."""
        self.node.destroy_publisher(self._publishers.pop(topic))

    def wait_for_subscriber(self, topic: str, kind: type = Image) -> None:
        """Wait until the node under test takes what is published."""
        publisher = self.publisher(topic, kind)
        wait_until(publisher.get_subscription_count, f'a subscriber of {topic}')

    def call(self, kind: type, service: str, request):
        """Call a service and return its response."""
        client = self.node.create_client(kind, service)
        try:
            assert client.wait_for_service(TIMEOUT), f'no service {service}'
            future = client.call_async(request)
            wait_until(future.done, f'an answer of {service}')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def set_parameter(self, name: str, value):
        """Set a parameter over the service; return its SetParametersResult."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])
        return self.call(SetParameters, '/ubcn/set_parameters', request).results[0]

    def change_state(self, transition: str) -> bool:
        """Ask for a lifecycle transition; return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = TRANSITIONS[transition]
        return self.call(ChangeState, '/ubcn/change_state', request).success

    def state(self) -> str:
        """Return the lifecycle state's label."""
        return self.call(GetState, '/ubcn/get_state', GetState.Request()).current_state.label


def picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Make a smooth colourful image."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([(rows * 3 + seed) % 256, (columns * 2) % 256,
                     (rows + columns + 80) % 256], 2).astype(np.uint8)


def image_message(number: int = 1, rgb: np.ndarray | None = None, encoding: str = 'rgb8',
                  frame_id: str = 'front_camera') -> Image:
    """Make an image message whose stamp carries a number."""
    message = Image()
    message.header.stamp.sec, message.header.stamp.nanosec = number, 123456789
    message.header.frame_id = frame_id
    return fill_image(message, message.header, picture() if rgb is None else rgb, encoding)


__all__ = ['CameraInfo', 'CompressedImage', 'Image', 'NodeProcess', 'RosClient', 'image_message',
           'picture', 'wait_until']
