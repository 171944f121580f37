# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publish what comes of a camera's frames, each output only while somebody subscribes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.event_handler import PublisherEventCallbacks
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32, Float64, Int32

from ubcn_ros.images.messages import fill_fields, fill_image, in_encoding
from ubcn_ros.images.overlay import overlay
from ubcn_ros.node import qos
from ubcn_ros.node.diagnostics import DiagnosticReport, Level, width_by_height
from ubcn_ros.node.diagnostics_publisher import status_message
from ubcn_ros.node.frames import FrameNumbers
from ubcn_ros.node.native_images import native_images
from ubcn_ros.node.topics import (
    COLOR,
    CONFIDENCE,
    DEBUG_FRAME,
    DERAINED,
    DERAINED_INFO,
    ITERATIONS,
    LABEL_INFO,
    LABELS,
    ON_DEMAND,
    OVERLAY,
    PIPELINE_LATENCY,
    PROCESSING_TIME,
    RAIN,
    RAIN_RATE,
    VISIBILITY,
)

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # not to be had as a wheel
    LabelInfo = VisionClass = None

# of one camera, by stamp: more than come between one and its image
_CAMERA_INFOS = 100

_MESSAGE_TYPES = {each.__name__: each for each in (
    CameraInfo, DiagnosticArray, Float32, Float64, Image, Int32)}


class AwaitedInfo:
    """
    The camera info of a stamp, kept while a frame of that stamp holds it.

    :ivar message: sensor_msgs/CameraInfo; None until it comes.
    """

    def __init__(self, message: CameraInfo | None):
        self.message = message


class Outputs:
    """
    The publishers of one camera, from creation to `destroy`.

    Any thread may ask; frames are published by one, the pipeline's; `pass_on`, `keep_info` and
    `announce` belong to the executor's.
    """

    def __init__(self, node: Any, prefix: str, label_set: Any,
                 incompatible: Callable[[str, Any], None], rain: bool = False):
        """
        Make the publishers, all or none.

        :param node: rclpy node.
        :param prefix: put before every topic, like 'front/'.
        :param label_set: classes of the model's labels.
        :param incompatible: called, in the executor's thread, with topic and policy where the QoS
            of a subscriber does not fit.
        :param rain: whether the model estimates the rain.
        """
        self._node, self._prefix, self._label_set = node, prefix, label_set
        self._incompatible = incompatible
        self._camera_info: CameraInfo | None = None  # the newest
        self._camera_infos: dict[tuple[int, int], CameraInfo] = {}  # by stamp, newest last
        # of frames on their way, however many come meanwhile
        self._awaited: WeakValueDictionary[tuple[int, int], AwaitedInfo] = WeakValueDictionary()
        self._publishers: dict[str, Any] = {}
        self._on_demand: list[str] = []
        with ExitStack() as stack:
            stack.callback(self.destroy)
            for topic, name in {**ON_DEMAND, **(RAIN if rain else {})}.items():
                self._publishers[topic] = self._publisher(
                    _MESSAGE_TYPES[name.rpartition('/')[2]], topic, qos.output_qos())
            self._on_demand = list(self._publishers)
            if LabelInfo is not None:
                self._publishers[LABEL_INFO] = self._publisher(LabelInfo, LABEL_INFO,
                                                               qos.latched_qos())
            stack.pop_all()  # all are there: they stay

    def announce(self, threshold: float) -> None:
        """
        Announce the classes, to those who subscribe later, too.

        :param threshold: confidence below which pixels are unlabeled, 0..1.
        """
        if LABEL_INFO in self._publishers:
            self._publishers[LABEL_INFO].publish(
                label_info(self._label_set, threshold, self._node.get_clock().now()))

    def destroy(self) -> None:
        """Take the publishers down."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def wanted(self, topic: str) -> bool:
        """Say whether somebody subscribes to an output, named as in `topics`."""
        return topic in self._publishers and \
            self._publishers[topic].get_subscription_count() > 0

    def any_wanted(self) -> bool:
        """Say whether somebody subscribes to any output that needs the engine."""
        return any(map(self.wanted, self._on_demand))

    def pass_on(self, camera_info: CameraInfo) -> None:
        """
        Keep a camera info, to be published with the derained image of its stamp.

        The newest goes with images of whose stamp there is none.
        """
        stamp = _stamp(camera_info.header)
        self._camera_infos.pop(stamp, None)
        self._camera_infos[stamp] = self._camera_info = camera_info
        if len(self._camera_infos) > _CAMERA_INFOS:
            del self._camera_infos[next(iter(self._camera_infos))]
        if (awaited := self._awaited.get(stamp)) is not None:
            awaited.message = camera_info

    def keep_info(self, header: Any) -> AwaitedInfo:
        """Keep an image's camera info, there or to come, as long as what is returned lives."""
        stamp = _stamp(header)
        awaited = self._awaited.get(stamp) or AwaitedInfo(self._camera_infos.get(stamp))
        self._awaited[stamp] = awaited
        return awaited

    def forget_camera_infos(self) -> None:
        """Pass none on any more: the camera behind the topic may be another one next time."""
        self._camera_infos, self._camera_info = {}, None
        self._awaited.clear()

    def camera_info(self, header: Any) -> CameraInfo | None:
        """Return the camera info of an image: that of its stamp, else the newest, if any."""
        stamp = _stamp(header)
        awaited = self._awaited.get(stamp)
        if awaited is not None and awaited.message is not None:
            return awaited.message
        return self._camera_infos.get(stamp, self._camera_info)

    def publish(self, header: Any, frame: Any, encoding: str, overlay_alpha: float) -> float:
        """
        Publish what somebody subscribes to, what a controller waits for first.

        :param header: of the image that came in.
        :param frame: as the engine returns it; what is missing of it is not published.
        :param encoding: of the derained image, rgb8 or bgr8.
        :param overlay_alpha: share of the class colours in the overlay, 0 to 1.
        :return: the seconds of it that filling messages took.
        """
        started, publishing = time.monotonic(), 0.0
        if frame.labels is not None and self.wanted(LABELS):
            publishing += self._publish_image(LABELS, header, frame.labels, 'mono8')
        if frame.derained is not None and self.wanted(DERAINED):
            publishing += self._publish_image(DERAINED, header, frame.derained, encoding)
        info = self.camera_info(header)
        if info is not None and self.wanted(DERAINED_INFO):
            stamped = copy(info)  # its own header says whose it is
            stamped.header = header
            self._publishers[DERAINED_INFO].publish(stamped)
        if frame.confidence is not None and self.wanted(CONFIDENCE):
            publishing += self._publish_image(CONFIDENCE, header, frame.confidence, 'mono8')
        if frame.labels is not None and self.wanted(COLOR):
            colors = self._label_set.colorize(frame.labels)
            publishing += self._publish_image(COLOR, header, colors, 'rgb8')
        if frame.derained is not None and frame.labels is not None and self.wanted(OVERLAY):
            blended = overlay(frame.derained, frame.labels, self._label_set, overlay_alpha)
            publishing += self._publish_image(OVERLAY, header, blended, 'rgb8')
        return time.monotonic() - started - publishing

    def publish_numbers(self, header: Any, numbers: FrameNumbers, topic: str) -> None:
        """
        Publish the numbers of one frame to whoever subscribes to them.

        :param header: of the image that came in.
        :param topic: that the image came on.
        """
        if self.wanted(ITERATIONS):
            self._publishers[ITERATIONS].publish(Int32(data=numbers.iterations))
        if self.wanted(PROCESSING_TIME):
            self._publishers[PROCESSING_TIME].publish(Float64(data=numbers.processing_ms))
        if self.wanted(PIPELINE_LATENCY):
            self._publishers[PIPELINE_LATENCY].publish(Float64(data=numbers.latency_ms))
        if self.wanted(RAIN_RATE):
            self._publishers[RAIN_RATE].publish(Float32(data=numbers.rain.rate))
        if self.wanted(VISIBILITY):
            self._publishers[VISIBILITY].publish(Float32(data=numbers.rain.visibility))
        if not self.wanted(DEBUG_FRAME):
            return
        report = DiagnosticReport(
            Level.WARN if numbers.late else Level.OK, 'deadline missed' if numbers.late else '',
            {'iterations': str(numbers.iterations),
             'processing size': width_by_height(numbers.working_size),
             **({} if numbers.unlabeled is None else
                {'unlabeled (%)': f'{100 * numbers.unlabeled:.2f}'}),
             **({} if numbers.rain is None else
                {'rain rate (mm/hr)': f'{numbers.rain.rate:.2f}',
                 'visibility (m)': f'{numbers.rain.visibility:.1f}'}),
             'deadline (ms)': f'{numbers.deadline_ms:g}',
             'pipeline latency (ms)': f'{numbers.latency_ms:.3f}',
             'processing time (ms)': f'{numbers.processing_ms:.3f}',
             **{f'{stage} (ms)': f'{time:.3f}' for stage, time in numbers.timings.items()}})
        self._publishers[DEBUG_FRAME].publish(DiagnosticArray(
            header=header, status=[status_message(camera_name(self._prefix), report, topic)]))

    def _publish_image(self, topic: str, header: Any, image: Any, encoding: str) -> float:
        """Publish an image; return the seconds of it after the message was filled."""
        publisher, native = self._publishers[topic], native_images(Image)
        if native is None:
            message = fill_image(Image(), header, image, encoding)
            publish = partial(publisher.publish, message)
        else:
            pixels = in_encoding(image, encoding)
            message = fill_fields(Image(), header, pixels, encoding)
            publish = partial(native.publish, publisher, message, pixels)
        started = time.monotonic()
        publish()
        return time.monotonic() - started

    def _publisher(self, message_type: Any, topic: str, profile: Any) -> Any:
        name = self._node.resolve_topic_name(self._prefix + topic)
        return self._node.create_publisher(
            message_type, self._prefix + topic, profile, qos_overriding_options=qos.overridable(),
            event_callbacks=PublisherEventCallbacks(
                incompatible_qos=lambda event: self._incompatible(name, event.last_policy_kind)))


def _stamp(header: Any) -> tuple[int, int]:
    return header.stamp.sec, header.stamp.nanosec


def camera_name(prefix: str) -> str:
    """Name the camera whose topics begin with a prefix, '' for one without a name."""
    return prefix.rstrip('/') or 'camera'


def label_info(label_set: Any, threshold: float, now: Any) -> Any:
    """
    Describe the classes of the masks as a vision_msgs/LabelInfo.

    :param label_set: names by class id.
    :param threshold: confidence below which pixels are unlabeled, 0..1.
    :param now: rclpy Time for the header.
    """
    message = LabelInfo()
    message.header.stamp = now.to_msg()
    message.class_map = [VisionClass(class_id=number, class_name=name)
                         for number, name in enumerate(label_set.classes)]
    message.threshold = float(threshold)
    return message
