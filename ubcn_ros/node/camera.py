# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera: its topics, its mailbox, its counters, and the way of one frame through it."""

from __future__ import annotations

import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float64, Int32

from ubcn_ros.images.messages import (
    MalformedImage,
    compressed_size,
    compressed_to_rgb,
    fill_image,
    output_encoding,
    to_rgb,
)

from . import qos, topics
from .diagnostics import CameraStatistics, Level, Report, Throttle, Window
from .jobs import Arrival, Job
from .mailbox import Mailbox
from .parameters import Settings
from .recovery import Outcome

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # not to be had as a wheel
    LabelInfo = VisionClass = None

DERAINED, CAMERA_INFO = 'derained/image_raw', 'derained/camera_info'
LABELS, LABEL_INFO, COLOR = 'labels/image_raw', 'labels/label_info', 'labels/color'
CONFIDENCE, OVERLAY = 'labels/confidence', 'overlay/image_raw'
# Per frame, names as in Autoware; the last holds all, under the image's stamp.
ITERATIONS, DEBUG_FRAME = 'debug/iterations', 'debug/frame'
PROCESSING_TIME, PIPELINE_LATENCY = 'debug/processing_time_ms', 'debug/pipeline_latency_ms'
ON_DEMAND = (DERAINED, CAMERA_INFO, LABELS, COLOR, CONFIDENCE, OVERLAY, ITERATIONS, DEBUG_FRAME,
             PROCESSING_TIME, PIPELINE_LATENCY)
"""Outputs of which at least one needs a subscriber for the engine to work."""

SILENCE_SECONDS = 5.0
_REPORTS_TO_WAIT = 5
# A stamp further than this from the node's clock is of another clock, as when a bag is replayed.
_OTHER_CLOCK_SECONDS = 60.0


class Camera:
    """
    Subscribes between `open` and `close`; publishes from creation to `destroy`.

    `size`, `prepare` and `finish` belong to the worker's thread, which must be paused before
    `destroy`; all other methods belong to the executor's.
    """

    def __init__(self, node: Any, condition: threading.Condition, label_set: Any,
                 prefix: str = ''):
        """
        Make the publishers and announce the classes.

        :param node: rclpy node.
        :param condition: notified when an image waits in the mailbox.
        :param label_set: classes of the model's labels.
        :param prefix: put before every topic, like 'front/'.
        """
        self.name = prefix.rstrip('/') or 'camera'
        self.mailbox: Mailbox[Arrival] = Mailbox(condition)
        self.statistics = CameraStatistics()
        self._node, self._logger, self._prefix = node, node.get_logger(), prefix
        self._label_set = label_set
        self._throttle, self._rare = Throttle(), Throttle(60.0)
        self._camera_info: CameraInfo | None = None
        # Explained with a later report: the other side's name is not known before that.
        self._incompatible: dict[tuple[str, Any, bool], int] = {}
        self._replaced = 0  # of the mailbox's drops, those already in the statistics
        self._sequence: int | None = None
        self._publishing = Window(16)  # seconds
        self._opened = 0.0
        self.topic = ''
        self._transport = ''
        self._remap = ''  # the name whose remapping leads to the images
        self._subscriptions: list[Any] = []
        self._infos = 0
        self._publishers = {
            topic: self._publisher(Image, topic, qos.output_qos())
            for topic in (DERAINED, LABELS, COLOR, CONFIDENCE, OVERLAY)}
        self._publishers[CAMERA_INFO] = self._publisher(CameraInfo, CAMERA_INFO, qos.output_qos())
        for topic, kind in ((ITERATIONS, Int32), (PROCESSING_TIME, Float64),
                            (PIPELINE_LATENCY, Float64), (DEBUG_FRAME, DiagnosticArray)):
            self._publishers[topic] = self._publisher(kind, topic, qos.output_qos())
        if LabelInfo is not None:
            self._publishers[LABEL_INFO] = self._publisher(
                LabelInfo, LABEL_INFO, qos.latched_qos())
            self._publishers[LABEL_INFO].publish(label_info(label_set, node.get_clock().now()))

    def open(self, transport: str) -> None:
        """
        Subscribe to images and camera info.

        :param transport: 'raw' or 'compressed'.
        """
        inputs = topics.inputs(self._node, self._prefix, transport)
        kind = Image if transport == 'raw' else CompressedImage
        self._transport, self._remap = transport, inputs.remap
        self.topic = self._node.resolve_topic_name(inputs.image)
        self._sequence = None
        self._infos = 0
        self._opened = time.monotonic()
        self._subscriptions = [
            self._subscription(kind, inputs.image, self._on_image),
            self._subscription(CameraInfo, inputs.camera_info, self._on_camera_info)]

    def close(self) -> None:
        """Unsubscribe and drop what waits."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self.mailbox.clear()
        self._count_replaced()

    def destroy(self) -> None:
        """Close, and take the publishers down."""
        self.close()
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def size(self, arrival: Arrival) -> tuple[int, int] | None:
        """Read the height and width that an image claims; None where it cannot be one."""
        message = arrival.message
        if self._transport == 'raw':
            return message.height, message.width
        try:
            return compressed_size(memoryview(message.data).cast('B'))
        except MalformedImage:
            return None

    def prepare(self, settings: Settings, arrival: Arrival) -> Job | None:
        """
        Convert an image for the engine.

        :return: None where nobody listens to any output, and where the message is malformed: both
            are counted, the latter is named in the log.
        """
        if not any(map(self._wanted, ON_DEMAND)):
            self.statistics.dropped_idle()
            return None
        message, started = arrival.message, time.monotonic()
        try:
            image = to_rgb(message) if self._transport == 'raw' else compressed_to_rgb(message)
        except MalformedImage as error:
            self.statistics.dropped_malformed(error.kind, str(error))
            self._warn(error.kind, f'{self.topic}: malformed image dropped: {error}')
            return None
        deadline, publishing = None, self._publishing.worst()
        if settings.deadline_ms:
            deadline = arrival.time + settings.deadline_ms / 1e3 - publishing
        return Job(arrival, image, deadline, self._wanted(CONFIDENCE), started, time.monotonic(),
                   publishing)

    def finish(self, job: Job, outcome: Outcome, settings: Settings) -> None:
        """Publish what is wanted of a frame, and count it."""
        message, frame, inferred = job.arrival.message, outcome.frame, time.monotonic()
        if outcome.reduced:
            self.statistics.reduced_to_one_step(outcome.reduced)
            self._warn('reduced', f'{self.topic}: one step instead of {settings.iterations}: '
                       f'{outcome.reduced}; use a smaller image or fewer iterations')
        encoding = getattr(message, 'encoding', 'rgb8')
        self._publish(message.header, frame, output_encoding(encoding), settings)
        done = time.monotonic()
        timings = {'convert': (job.converted - job.started) * 1e3, **frame.timings,
                   'publish': (done - inferred) * 1e3}
        latency = (done - job.arrival.time) * 1e3
        self.statistics.done(frame.iterations, timings, latency,
                             self._age_ms(message.header.stamp), settings.deadline_ms)
        self._publish_debug(message.header, frame.iterations, (done - job.started) * 1e3, latency,
                            timings, settings.deadline_ms)
        # with the numbers: other cameras of the batch wait for these, too
        self._publishing.add(time.monotonic() - inferred)

    def report(self) -> Report:
        """Summarise for diagnostics; warns in the log about silence and QoS that does not fit."""
        self._explain_incompatible()
        self._count_replaced()
        if self._subscriptions and not self._node.count_publishers(self.topic):
            self._sequence = None  # the next publisher has a count of its own
        report = self.statistics.report()
        if not self._subscriptions:
            report.message = 'not subscribed: the node is inactive'
            return report
        info_topic = self._subscriptions[1].topic_name
        report.values['camera info'] = f'{self._infos or "none"} on {info_topic}'
        since, opened = self.statistics.silence() or 0.0, time.monotonic() - self._opened
        quiet = min(since, opened) if self.statistics.received else opened
        if quiet >= SILENCE_SECONDS:
            text = qos.explain_silence(self._node, qos.Silence(
                self.topic, self._transport, self._remap, quiet, self.statistics.received,
                time.time() - since))
            report.message = text if report.level is Level.OK else f'{report.message}; {text}'
            report.level = max(report.level, Level.WARN)
            if self._rare.passes('silence') is not None:
                self._logger.warning(text)
        return report

    def _explain_incompatible(self) -> None:
        for event, waited in list(self._incompatible.items()):
            text = qos.explain_incompatible(self._node, *event)
            if qos.UNKNOWN_NODE in text and waited < _REPORTS_TO_WAIT:
                self._incompatible[event] = waited + 1
            else:
                del self._incompatible[event]
                self._logger.warning(text)

    def _on_image(self, message: Any, info: dict[str, Any]) -> None:
        arrival = Arrival(message, time.monotonic())
        # Depth 1 lets the middleware replace images that the executor was too late for: the
        # publisher's sequence numbers show how many, as long as there is one publisher.
        sequence, missed = info.get('publication_sequence_number'), 0
        if sequence is not None and self._sequence is not None \
                and sequence > self._sequence + 1 and self._node.count_publishers(self.topic) == 1:
            missed = sequence - self._sequence - 1
        self._sequence = sequence
        self.statistics.arrived(missed)
        self.mailbox.put(arrival)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message
        self._infos += 1

    def _count_replaced(self) -> None:
        dropped = self.mailbox.dropped
        self.statistics.dropped_stale(dropped - self._replaced)
        self._replaced = dropped

    def _wanted(self, topic: str) -> bool:
        return self._publishers[topic].get_subscription_count() > 0

    def _publish(self, header: Any, frame: Any, encoding: str, settings: Settings) -> None:
        """Publish what somebody subscribes to, what a controller waits for first."""
        if self._wanted(LABELS):
            self._publish_image(LABELS, header, frame.labels, 'mono8')
        if self._wanted(DERAINED):
            self._publish_image(DERAINED, header, frame.derained, encoding)
        info = self._camera_info
        if info is not None and self._wanted(CAMERA_INFO):
            info.header = header
            self._publishers[CAMERA_INFO].publish(info)
        if frame.confidence is not None and self._wanted(CONFIDENCE):
            self._publish_image(CONFIDENCE, header, frame.confidence, 'mono8')
        if self._wanted(COLOR):
            self._publish_image(COLOR, header, self._label_set.colorize(frame.labels), 'rgb8')
        if self._wanted(OVERLAY):
            from ubcn_ros.images.overlay import overlay  # with torch; the engine has it by now
            blended = overlay(frame.derained, frame.labels, self._label_set,
                              settings.overlay_alpha)
            self._publish_image(OVERLAY, header, blended, 'rgb8')

    def _publish_debug(self, header: Any, iterations: int, processing_ms: float,
                       latency_ms: float, timings: dict[str, float], deadline_ms: float) -> None:
        """Publish numbers of one frame to whoever subscribes to them."""
        if self._wanted(ITERATIONS):
            self._publishers[ITERATIONS].publish(Int32(data=iterations))
        if self._wanted(PROCESSING_TIME):
            self._publishers[PROCESSING_TIME].publish(Float64(data=processing_ms))
        if self._wanted(PIPELINE_LATENCY):
            self._publishers[PIPELINE_LATENCY].publish(Float64(data=latency_ms))
        if not self._wanted(DEBUG_FRAME):
            return
        late = bool(deadline_ms) and latency_ms > deadline_ms
        values = {'iterations': str(iterations), 'deadline (ms)': f'{deadline_ms:g}',
                  'pipeline latency (ms)': f'{latency_ms:.3f}',
                  'processing time (ms)': f'{processing_ms:.3f}',
                  **{f'{stage} (ms)': f'{time:.3f}' for stage, time in timings.items()}}
        status = DiagnosticStatus(
            level=bytes([Level.WARN if late else Level.OK]), name=self.name,
            message='deadline missed' if late else '', hardware_id=self.topic,
            values=[KeyValue(key=key, value=value) for key, value in values.items()])
        self._publishers[DEBUG_FRAME].publish(DiagnosticArray(header=header, status=[status]))

    def _publish_image(self, topic: str, header: Any, image: Any, encoding: str) -> None:
        self._publishers[topic].publish(fill_image(Image(), header, image, encoding))

    def _age_ms(self, stamp: Any) -> float | None:
        seconds = self._node.get_clock().now().nanoseconds / 1e9 - stamp.sec - stamp.nanosec / 1e9
        return seconds * 1e3 if 0 <= seconds < _OTHER_CLOCK_SECONDS else None

    def _warn(self, key: str, text: str) -> None:
        held_back = self._throttle.passes(key)
        if held_back is not None:
            self._logger.warning(text + (f' ({held_back} more like it)' if held_back else ''))

    def _publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        name = self._node.resolve_topic_name(self._prefix + topic)
        return self._node.create_publisher(
            kind, self._prefix + topic, profile, qos_overriding_options=qos.overridable(),
            event_callbacks=PublisherEventCallbacks(
                incompatible_qos=lambda event: self._incompatible.setdefault(
                    (name, event.last_policy_kind, False), 0)))

    def _subscription(self, kind: Any, topic: str, callback: Any) -> Any:
        name = self._node.resolve_topic_name(topic)
        return self._node.create_subscription(
            kind, topic, callback, qos.input_qos(),
            qos_overriding_options=qos.overridable(),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda event: self._incompatible.setdefault(
                    (name, event.last_policy_kind, True), 0)))


def label_info(label_set: Any, now: Any) -> Any:
    """
    Describe the classes of the masks as a vision_msgs/LabelInfo.

    :param label_set: names by class id.
    :param now: rclpy Time for the header.
    """
    message = LabelInfo()
    message.header.stamp = now.to_msg()
    message.class_map = [VisionClass(class_id=number, class_name=name)
                         for number, name in enumerate(label_set.classes)]
    return message
