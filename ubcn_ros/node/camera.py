# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Subscribe to one camera, hold its outputs, and report on it in the diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ubcn_ros.node import hints, qos, topics
from ubcn_ros.node.diagnostics import CameraStatistics, DiagnosticReport, Level, Throttle
from ubcn_ros.node.frame_queue import FrameQueue
from ubcn_ros.node.frames import Arrival, times_before
from ubcn_ros.node.outputs import Outputs, camera_name
from ubcn_ros.node.parameters import Settings
from ubcn_ros.node.processing import CameraProcessing

SILENCE_SECONDS = 5.0


class Camera:
    """
    Subscribes between `open` and `close`; has its outputs from creation to `destroy`.

    Its methods belong to the executor's thread; what logs and `statistics` to any. The pipeline
    must be at rest before `destroy`.

    :ivar name: of the camera, 'camera' where it has none.
    :ivar topic: resolved name of the image topic; '' before the first `open`.
    :ivar info_topic: likewise, of the camera info.
    :ivar outputs: its publishers.
    :ivar statistics: its counters.
    :ivar processing: what its images are processed at.
    """

    def __init__(self, node: Any, queue: FrameQueue, label_set: Any,
                 prefix: str = '', clock: Callable[[], float] = time.monotonic, info: Any = None,
                 rain: bool = False, resized: Callable[[], None] = lambda: None):
        """
        Make the outputs.

        :param node: rclpy node.
        :param queue: that images wait in.
        :param label_set: classes of the model's labels.
        :param prefix: put before every topic, like 'front/'.
        :param clock: seconds, for the time of arrivals and of silence.
        :param info: of the model; None where it says nothing of its training.
        :param rain: whether the model estimates the rain.
        :param resized: called where a camera info settles another processing size, before the
            first image.
        """
        self._resized = resized
        self.processing = CameraProcessing(info)
        self.name = camera_name(prefix)
        self.topic = self.info_topic = ''
        self._incompatible = hints.IncompatibleEndpoints(node)
        self.outputs = Outputs(node, prefix, label_set, self._incompatible.note_subscriber, rain)
        self.statistics = CameraStatistics(clock)
        self._node, self._logger, self._prefix = node, node.get_logger(), prefix
        self._queue, self._clock = queue, clock
        self._throttle, self._minute_throttle = Throttle(), Throttle(60.0)
        self._last: tuple[Any, int | None] = None, None  # publisher and number, of the last image
        self._changes = 0  # of the publisher from image to image, since the last report
        self._opened = 0.0
        self._transport = ''
        self._remap = ''  # the name whose remapping leads to the images
        self._subscriptions: list[Any] = []
        self._infos = 0

    def open(self, transport: str) -> None:
        """
        Subscribe to images and camera info, to both or, where one of them raises, to neither.

        :param transport: 'raw' or 'compressed'.
        :raises ValueError: one of them is an output of the node, which would go round for ever.
        """
        inputs = topics.inputs(self._node, self._prefix, transport)
        message_type = Image if transport == 'raw' else CompressedImage
        self._transport, self._remap = transport, inputs.remap
        self.topic = self._node.resolve_topic_name(inputs.image)
        self.info_topic = self._node.resolve_topic_name(inputs.camera_info)
        _refuse_outputs((self.topic, self.info_topic),
                        {publisher.topic_name for publisher in self._node.publishers})
        self._last = None, None
        self._changes = 0
        self._infos = 0
        self.processing.restart()
        self._opened = self._clock()
        with ExitStack() as stack:
            stack.callback(self.close)
            for subscribed in ((message_type, inputs.image, self.on_image),
                               (CameraInfo, inputs.camera_info, self.on_camera_info)):
                self._subscriptions.append(self._subscription(*subscribed))
            stack.pop_all()  # all are there: they stay

    def close(self) -> None:
        """Unsubscribe and drop what waits."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self.statistics.dropped_stale(self._queue.discard(self))
        self.outputs.forget_camera_infos()
        self.statistics.forget_lateness()

    def destroy(self) -> None:
        """Close, and take the publishers down."""
        self.close()
        self.outputs.destroy()

    def on_image(self, message: Any, info: dict[str, Any]) -> None:
        """
        Let an image that arrived wait in the queue, and count it.

        :param info: rclpy's MessageInfo.
        """
        now = self._clock()
        self.statistics.arrived(self._missed_before(info))
        if self.processing.waits(now):
            self.statistics.dropped_stale(1)
            return
        self.statistics.dropped_stale(self._queue.put(self, Arrival(
            message, now, self._transport == 'compressed', self.processing.begin(),
            times_before(info, time.time_ns()), self.outputs.keep_info(message.header))))

    def on_camera_info(self, message: CameraInfo) -> None:
        """Pass a camera info on with the images from now on."""
        self.outputs.pass_on(message)
        self._infos += 1
        before = self.processing.size()
        if text := self.processing.take(message):
            self._logger.info(f'{self.info_topic}: {text}')
        if self.processing.size() != before:
            self._resized()

    def report(self, deadline_ms: float | None = None) -> DiagnosticReport:
        """
        Summarise for diagnostics; warn in the log of silence and of QoS that does not fit.

        :param deadline_ms: that is asked for now, 0 for none; None: that of the newest frame.
        """
        for text in self._incompatible.explain():
            self.remind(text, text)
        report = self.statistics.report(deadline_ms)
        if not self._subscriptions:
            report.add(Level.OK, 'not subscribed: the node is inactive')
            return report
        report.values['camera info'] = f'{self._infos or "none"} on {self.info_topic}'
        changes, self._changes = self._changes, 0
        if changes > 1:  # one is a driver that was started anew
            text = hints.explain_several_publishers(self._node, self.topic)
            report.add(Level.WARN, text)
            self.remind('publishers', text)
        since, opened = self.statistics.silence() or 0.0, self._clock() - self._opened
        quiet = min(since, opened) if self.statistics.received else opened
        if quiet < SILENCE_SECONDS:  # the next silence is another one
            self._minute_throttle.forget('silence')
        if quiet >= SILENCE_SECONDS:
            text = hints.explain_silence(self._node, hints.Silence(
                self.topic, self._transport, self._remap, quiet, self.statistics.received,
                time.time() - since))
            report.add(Level.WARN, text)
            self.remind('silence', text)
        elif not self._infos and opened >= SILENCE_SECONDS and (
                text := hints.explain_no_camera_info(self._node, self.info_topic, opened)):
            report.add(Level.WARN, text)
            self.remind('no camera info', text)
        return report

    def warn(self, key: str, text: str) -> None:
        """
        Log a warning of a frame, unless one of the same key was logged a moment ago.

        :param key: what such frames have in common, as it is put behind their number.
        """
        if (held_back := self._held_back(key)) is not None:
            self._logger.warning(text + held_back)

    def error(self, key: str, text: str) -> None:
        """Log an error, likewise."""
        if (held_back := self._held_back(key)) is not None:
            self._logger.error(text + held_back)

    def remind(self, key: str, text: str) -> None:
        """Log a warning of what lasts, once a minute."""
        if self._minute_throttle.passes(key) is not None:
            self._logger.warning(text)

    def _held_back(self, key: str) -> str | None:
        """Word how many of this key were not logged; None where this one is not to be either."""
        count = self._throttle.passes(key)
        if count is None:
            return None
        return f' ({count} more {key})' if count else ''

    def _missed_before(self, info: dict[str, Any]) -> int:
        """
        Return how many images were lost before this one; count the changes of the publisher.

        Depth 1 lets the middleware replace images that the executor was too late for: the sequence
        numbers show how many, where there are any, and each publisher has its own.
        """
        (before, last), self._last = self._last, (
            info.get('publisher_gid'), info.get('publication_sequence_number'))
        publisher, number = self._last
        if publisher != before:
            self._changes += None not in (publisher, before)
            return 0
        return 0 if None in (publisher, last, number) else max(number - last - 1, 0)

    def _subscription(self, message_type: Any, topic: str, callback: Any) -> Any:
        name = self._node.resolve_topic_name(topic)
        return self._node.create_subscription(
            message_type, topic, callback, qos.input_qos(),
            qos_overriding_options=qos.overridable(),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda event: self._incompatible.note_publisher(
                    name, event.last_policy_kind)))


def check_inputs(node: Any, settings: Settings) -> None:
    """
    Check that each input and output is a topic of its own, before any of them is made.

    A camera info that is that of several cameras is warned of. What only some models have, the
    rain, is left to `check_outputs`.

    :param node: rclpy node.
    :raises ValueError: an output's or an image's topic would be that of another, too.
    """
    prefixes, resolved = settings.prefixes, node.resolve_topic_name
    inputs = [topics.inputs(node, *camera) for camera in zip(
        prefixes, settings.for_cameras('input_transport'), strict=True)]
    if text := hints.explain_shared([(each.remap, resolved(each.image)) for each in inputs]):
        raise ValueError(text)
    if text := hints.explain_shared([
            (prefix + topics.CAMERA_INFO, resolved(each.camera_info))
            for prefix, each in zip(prefixes, inputs, strict=True)]):
        node.get_logger().warning(text)
    outputs = check_outputs(node, prefixes)
    for each in inputs:
        _refuse_outputs(map(resolved, (each.image, each.camera_info)), outputs)


def check_outputs(node: Any, prefixes: Iterable[str], rain: bool = False) -> Collection[str]:
    """
    Check that each output is a topic of its own; cameras may share the one of the classes.

    :param node: rclpy node.
    :param prefixes: of the cameras, like 'front/'.
    :param rain: whether the model estimates the rain.
    :return: resolved names.
    :raises ValueError: two outputs are one topic.
    """
    outputs: dict[str, str] = {}
    for name in (prefix + topic for prefix in prefixes for topic in (
            *topics.ON_DEMAND, *(topics.RAIN if rain else ()), topics.LABEL_INFO)):
        topic = node.resolve_topic_name(name)
        other = outputs.setdefault(topic, name)
        # the classes are the model's, the same for all cameras
        if other != name and not all(each.endswith(topics.LABEL_INFO) for each in (other, name)):
            raise ValueError(f'the outputs {other} and {name} are one topic, {topic}: '
                             'remap one of them to another topic')
    return outputs.keys()


def _refuse_outputs(inputs: Iterable[str], outputs: Collection[str]) -> None:
    """Raise ValueError for an input that is an output of the node, too, by resolved names."""
    for topic in inputs:
        if topic in outputs:
            raise ValueError(f'{topic} is an output of this node and an input, too: remap one of '
                             'them to another topic')
