# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Random lifecycle, parameter and message traffic at a live node that has to survive it.

Each request has to be answered as the lifecycle's table below says, and each frame that was sent
while the node was active has to be in its counters.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fuzzing
import lifecycle_msgs.srv
import numpy as np
import rcl_interfaces.srv
from rcl_interfaces.msg import Parameter, ParameterValue
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ubcn_ros.bags.live.client import SOURCE, Client
from ubcn_ros.bags.live.node_process import NodeProcess, ReplayError
from ubcn_ros.node.parameters import SPECS

POSSIBLE = {'unconfigured': {1: 'configure', 5: 'shutdown'},
            'inactive': {2: 'cleanup', 3: 'activate', 6: 'shutdown'},
            'active': {4: 'deactivate', 7: 'shutdown'},
            'finalized': {}}
"""state -> id -> label of the transitions that are possible in it."""

_GOALS = {'configure': 'inactive', 'activate': 'active', 'deactivate': 'inactive',
          'cleanup': 'unconfigured', 'shutdown': 'finalized'}
_COMPRESSED, _INFO = SOURCE + '/compressed', '/camera/camera_info'
_UNREAD = 'dropped (of the stale, in transport)'
_COUNTERS = ('received', 'processed', 'dropped', 'malformed', _UNREAD)
_SECONDS = 60.0  # a node that has not answered by then does not
_AFTER_SHUTDOWN = 10  # steps

_QUERIES = {'get_state': 'GetState', 'get_available_states': 'GetAvailableStates',
            'get_available_transitions': 'GetAvailableTransitions',
            'get_transition_graph': 'GetAvailableTransitions', 'get_parameters': 'GetParameters',
            'get_parameter_types': 'GetParameterTypes',
            'describe_parameters': 'DescribeParameters', 'list_parameters': 'ListParameters'}
"""service -> type, of those that change nothing."""
_TYPES = {bool: fuzzing.BOOL, int: fuzzing.INTEGER, float: fuzzing.DOUBLE, str: fuzzing.STRING,
          tuple: fuzzing.STRINGS}


def wanted_transition(state: str, number: int, label: str) -> str:
    """Return the label of the transition that a request asks for; '' where it is not possible."""
    if label:
        return label if label in POSSIBLE[state].values() else ''
    return POSSIBLE[state].get(number, '')


class Session:
    """
    One node from its start to its end, and the traffic at it; a context manager.

    :param model: name or path.
    :param device: of the engine.
    :param program: what Python is to run as the node.
    :ivar done: how often what happened, by group and kind.
    """

    def __init__(self, model: str, device: str,
                 program: Sequence[str] = ('-m', 'ubcn_ros.node.main')):
        self.state = 'unconfigured'
        self.done: Counter[tuple[str, str]] = Counter()
        started_with = {name: values[0] for name, values in fuzzing.ACCEPTABLE.items()} | {
            'model': (fuzzing.STRING, model), 'device': (fuzzing.STRING, device)}
        self._usual = {spec.name: (_TYPES[type(spec.default)], spec.default)
                       for spec in SPECS} | started_with
        self._values = {name: value for name, (_, value) in self._usual.items()}
        self._after_shutdown = 0  # steps
        self._seconds = _SECONDS / 3  # in which frames are to be counted
        self._sent = self._whole = 0  # frames that the counters have to hold; of them, images
        self._counts: Counter[str] = Counter()  # those counters, when they had been settled
        lossless = {f'qos_overrides.{topic}.subscription.{policy}': value
                    for topic in (SOURCE, _COMPRESSED)
                    for policy, value in (('reliability', 'reliable'), ('depth', 1000))}
        parameters = {'autostart': False, **lossless, **{
            name: list(value) if isinstance(value, tuple) else value
            for name, (_, value) in started_with.items() if value != ()}}
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self.process = stack.enter_context(NodeProcess(
                Path(folder) / 'node.log', parameters,
                {'image': SOURCE, 'image/compressed': _COMPRESSED, 'camera_info': _INFO}, program))
            self._client = stack.enter_context(Client(self.process, False, None))
            self._publishers, self._services = self._open_topics(), self._open_services()
            for service in self._services.values():
                self._client.wait(service.service_is_ready, service.srv_name, _SECONDS)
            self._running = stack.pop_all()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: Any = None, error: Any = None, trace: Any = None) -> None:
        self._running.__exit__(kind, error, trace)

    @property
    def over(self) -> bool:
        """Whether the node has been shut down, and has answered some requests since."""
        return self._after_shutdown > _AFTER_SHUTDOWN

    def step(self, random: np.random.Generator) -> None:
        """
        Do one random step.

        :param random: draws the step; the same one draws the same.
        :raises ReplayError: the node ended, did not answer, answered wrongly or miscounted.
        """
        self._after_shutdown += self.state == 'finalized'
        kind = fuzzing.any_step(random)
        self.done['sent', kind] += 1
        if kind.endswith('transition'):
            number, label = fuzzing.any_transition(random)
            self.ask_transitions(number, label, 1 + kind.startswith('repeated'))
        elif kind.startswith('set parameters'):
            self._set_parameters(kind.endswith('atomically'), [
                fuzzing.any_parameter(random)
                for _ in range(random.integers(0, 4))])
        elif kind == 'query':
            self._query(str(random.choice(list(_QUERIES))), [
                fuzzing.any_parameter(random)[0] for _ in range(random.integers(0, 3))])
        elif kind == 'clock':
            seconds, nano, _ = fuzzing.any_header(random)
            message = self._publishers['clock'].msg_type()
            message.clock.sec, message.clock.nanosec = seconds, nano
            self._publishers['clock'].publish(message)
        elif kind == 'camera_info':
            self._publishers[kind].publish(self._message(kind, random, width=64, height=64))
        else:
            self._send_image(kind, random)
        self._client.check()

    def ask_transitions(self, number: int, label: str, times: int = 1) -> None:
        """Ask for one transition so many times without waiting, then check the answers."""
        wanted = wanted_transition(self.state, number, label)
        if self.state == 'active' and wanted:
            self.settle()
        request = self._services['change_state'].srv_type.Request()
        request.transition.id, request.transition.label = number, label
        for future in [self._services['change_state'].call_async(request) for _ in range(times)]:
            wanted = wanted_transition(self.state, number, label)
            success = self._result('change_state', future).success
            # what was set may not suit; then it says so, and nothing has changed
            may_fail = wanted == 'configure' and bool(self._unusual())
            if success != bool(wanted) and not (may_fail and not success):
                raise ReplayError(
                    f"the node answered success={success} to transition {number} '{label}' in "
                    f'state {self.state}')
            self.done['transitions', 'made' if success else 'refused'] += 1
            if success:
                self._entered(wanted)
            elif wanted:
                self._set_parameters(False, [(name, *self._usual[name])
                                             for name in self._unusual()])
        self._query('get_state')

    def settle(self) -> None:
        """Wait until the node's counters hold every frame that was sent since `configure`."""
        reports, counts = self._client.reports, {}

        def settled() -> bool:
            status = self._client.status('camera')
            counts.update({name: int(status.get(name, -1)) for name in _COUNTERS})
            return (self._client.reports > reports
                    and counts['received'] - counts[_UNREAD] == self._sent
                    and counts['received'] == counts['processed'] + counts['dropped']
                    + counts['malformed']
                    and counts['processed'] <= self._whole
                    and counts['malformed'] <= self._sent - self._whole)

        try:
            self._client.wait(settled, 'the counters', self._seconds)
        except ReplayError as error:
            self._client.check()
            raise ReplayError(f'{self._sent} frames were sent to the active node, of them '
                              f'{self._whole} images, but it counted {counts}') from error
        self._counts = Counter(counts)
        self._client.outputs.clear()

    def finish(self) -> None:
        """Bring the node to active, account for all frames, and end it."""
        if self.state != 'finalized':
            self._set_parameters(False, [(name, *self._usual[name]) for name in self._usual])
            for label in ('configure', 'activate'):
                if label in POSSIBLE[self.state].values():
                    self.ask_transitions(0, label)
            if self.state != 'active':
                raise ReplayError(f'the node does not become active, it is {self.state}')
            self._send_image('image', np.random.default_rng(0))
            self.settle()
            self._close_account()
        engine = self._client.status('engine')
        self.done['callback errors', ''] += int(engine.get('callback errors', 0))
        if code := self.process.stop():
            raise ReplayError(f'the node ended with exit code {code}')

    def _entered(self, transition: str) -> None:
        """Note a transition that was made, and wait until its topics are there or gone."""
        if transition in ('cleanup', 'shutdown'):
            self._close_account()
        self.state = _GOALS[transition]
        wanted = int(self.state == 'active')
        self._client.wait(lambda: self._taken('image') + self._taken('compressed') == wanted,
                        f'{wanted} subscriptions to images', _SECONDS)

    def _taken(self, name: str) -> int:
        return self._publishers[name].get_subscription_count()

    def _close_account(self) -> None:
        self.done.update({('frames', name): count for name, count in {
            'sent': self._sent, 'whole': self._whole, **self._counts}.items()})
        self._sent, self._whole, self._counts = 0, 0, Counter()

    def _send_image(self, kind: str, random: np.random.Generator) -> None:
        """Publish an image of a kind, or bytes of which no image can be read."""
        compressed = kind == 'compressed' or kind == 'unreadable' and self._taken('compressed')
        name = 'compressed' if compressed else 'image'
        message = self._message(name, random, **(
            {'data': fuzzing.any_compressed(random)} if compressed
            else fuzzing.any_image(random)))
        data = serialize_message(message)
        if kind == 'unreadable':  # the middleware drops it, and so it says in the node's log
            # not to nothing: a reliable subscription of Fast DDS then waits for it for ever
            data = data[:random.integers(1, len(data) // 2)]
        self._publishers[name].publish(data)
        if kind == 'unreadable' or not self._taken(name):
            return
        self._sent += 1
        self._whole += fuzzing.is_whole(message, compressed)

    def _message(self, name: str, random: np.random.Generator, **fields: Any) -> Any:
        message = self._publishers[name].msg_type(**fields)
        stamp = message.header.stamp
        stamp.sec, stamp.nanosec, message.header.frame_id = fuzzing.any_header(random)
        return message

    def _set_parameters(self, atomically: bool, drawn: list[tuple[str, int, Any]]) -> None:
        service = 'set_parameters_atomically' if atomically else 'set_parameters'
        parameters = []
        for name, kind, value in drawn:
            content = ParameterValue(type=kind)
            if kind in fuzzing.FIELDS:
                setattr(content, fuzzing.FIELDS[kind],
                        list(value) if isinstance(value, tuple) else value)
            parameters.append(Parameter(name=name, value=content))
        request = self._services[service].srv_type.Request(parameters=parameters)
        response = self._result(service, self._services[service].call_async(request))
        results = [response.result] * len(drawn) if atomically else response.results
        if len(results) != len(drawn) or any(
                not result.successful and not result.reason for result in results):
            raise ReplayError(f'the node answered {results} to {service} of {drawn}')
        for (name, _, value), result in zip(drawn, results, strict=True):
            self.done['parameters', 'set' if result.successful else 'refused'] += 1
            if result.successful:
                self._values[name] = value

    def _unusual(self) -> list[str]:
        """Name the parameters with which `configure` may fail."""
        return [name for name, usual in self._usual.items() if self._values[name] not in [
            value for _, value in (usual, *fuzzing.ACCEPTABLE.get(name, ()))]]

    def _query(self, service: str, names: Sequence[str] = ()) -> None:
        request = self._services[service].srv_type.Request()
        if hasattr(request, 'names'):
            request.names = names
        response = self._result(service, self._services[service].call_async(request))
        if service == 'get_state' and response.current_state.label != self.state:
            raise ReplayError(f'the node is {response.current_state.label}, not {self.state}')
        if service == 'get_available_transitions':
            possible = {item.transition.id: item.transition.label
                        for item in response.available_transitions}
            if possible != POSSIBLE[self.state]:
                raise ReplayError(f'the node offers {possible} in state {self.state}')

    def _result(self, service: str, future: Any) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(1.0):
            self._client.wait(future.done, f'an answer of {service}', _SECONDS)
        self.done['answers', ''] += 1
        return future.result()

    def _open_topics(self) -> dict[str, Any]:
        node = self._client.node
        return {'image': node.create_publisher(Image, SOURCE, 1000),
                'compressed': node.create_publisher(CompressedImage, _COMPRESSED, 1000),
                'camera_info': node.create_publisher(CameraInfo, _INFO, 10),
                'clock': node.create_publisher(Clock, '/clock', 10)}

    def _open_services(self) -> dict[str, Any]:
        kinds = {**_QUERIES, 'change_state': 'ChangeState', 'set_parameters': 'SetParameters',
                 'set_parameters_atomically': 'SetParametersAtomically'}
        return {name: self._client.node.create_client(
            getattr(lifecycle_msgs.srv, kind, None) or getattr(rcl_interfaces.srv, kind),
            f'/ubcn/{name}') for name, kind in kinds.items()}


def random_traffic(steps: int, random: np.random.Generator, *node: Any
                   ) -> Counter[tuple[str, str]]:
    """
    Send random traffic at a node, and at another one each time it has been shut down.

    :param random: draws the steps.
    :param node: arguments of `Session`.
    :return: how often what happened, by group and kind, of all nodes together.
    :raises ReplayError: a node ended, did not answer, answered wrongly or miscounted.
    """
    total, left = Counter(), steps
    while left:
        with Session(*node) as session:
            try:
                while left and not session.over:
                    session.step(random)
                    left -= 1
                session.finish()
            except ReplayError as error:
                raise ReplayError(f'after {steps - left} steps: {error}') from error
        total.update(session.done)
        total['nodes', ''] += 1
    return total
