# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The outputs of cameras: their names, as a node with that camera has them, and messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from ubcn_ros.bags.cameras import BagCamera
from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.messages import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    LABEL_INFO,
    LATEST_STAMP_NS,
    TYPES,
    make_compressed,
    make_header,
    make_image,
    make_label_info,
)
from ubcn_ros.bags.process.options import Options
from ubcn_ros.bags.storage.channels import ros_channel
from ubcn_ros.bags.storage.records import Channel, Record
from ubcn_ros.images.messages import output_encoding
from ubcn_ros.images.overlay import overlay
from ubcn_ros.node import topics as node_topics
from ubcn_ros.node.topics import base_topic

_PARAMETERS = {'jpeg': [cv2.IMWRITE_JPEG_QUALITY, 95], 'png': [cv2.IMWRITE_PNG_COMPRESSION, 1]}

NAMES = {'derained': node_topics.DERAINED, 'labels': node_topics.LABELS,
         'confidence': node_topics.CONFIDENCE, 'color': node_topics.COLOR,
         'overlay': node_topics.OVERLAY, 'camera_info': node_topics.DERAINED_INFO,
         'label_info': node_topics.LABEL_INFO}
"""Name of each output in process.json, and its topic in the node."""


def find_prefixes(topics: Sequence[str]) -> dict[str, str]:
    """
    Find what the names of each camera's outputs begin with: its topic without the last part.

    Where that would be the same for two, the last part is kept.

    >>> find_prefixes(['/front/image_raw', '/rear/image_raw/compressed'])
    {'/front/image_raw': '/front/', '/rear/image_raw/compressed': '/rear/'}
    >>> find_prefixes(['/image_raw', '/image_color'])
    {'/image_raw': '/image_raw/', '/image_color': '/image_color/'}

    :param topics: image topics of cameras, each once.
    :raises BagError: two differ in their leading / alone, as bags of ROS 1 may have them.
    """
    longer = {topic: [f'/{topic}/'.replace('//', '/'), f'/{base_topic(topic)}/'.replace('//', '/')]
              for topic in topics}
    prefixes = {topic: names[-1].rstrip('/').rpartition('/')[0] + '/'
                for topic, names in longer.items()}
    while twice := {prefix for prefix, count in Counter(prefixes.values()).items() if count > 1}:
        alike = [topic for topic, prefix in prefixes.items() if prefix in twice]
        if not any(longer[topic] for topic in alike):
            raise BagError(f'outputs of {" and ".join(alike)} would get the same names: choose '
                           'one of these topics (--topic)')
        for topic in alike:
            if longer[topic]:
                prefixes[topic] = longer[topic].pop()
    return prefixes


def check_free(outputs: Iterable[str], there: Iterable[str]) -> None:
    """
    Check that outputs do not mix with what is copied.

    :param outputs: topics of outputs.
    :param there: topics that are copied from the input.
    :raises BagError: a topic is both.
    """
    if both := sorted({*outputs} & {*there}):
        options = ' '.join(f"--exclude '{topic}'" for topic in both)
        raise BagError(
            f'the bag has {", ".join(both)} already, as a recording of the node or an earlier '
            f'run leaves it, and outputs would get that name: leave it out ({options}), or write '
            'the outputs alone (--outputs-only)')


def output_names(camera: BagCamera, prefix: str, options: Options) -> dict[str, str]:
    """
    Name the topics that are written for a camera, by the node's name for each.

    :param prefix: of them all.
    """
    wanted = [node_topics.DERAINED, node_topics.LABELS, node_topics.LABEL_INFO]
    wanted += [node_topics.CONFIDENCE] * options.confidence
    wanted += [node_topics.COLOR, node_topics.OVERLAY] * options.pictures
    wanted += [node_topics.DERAINED_INFO] * (camera.camera_info is not None)
    return {name: prefix + name + (node_topics.COMPRESSED if _codec(name, options) else '')
            for name in wanted}


class CameraOutputs:
    """
    The output topics of one camera; thread-safe.

    :param prefix: of its outputs' names.
    :param engine: for its `label_set` and `min_confidence`.
    """

    def __init__(self, camera: BagCamera, prefix: str, options: Options, engine: Any):
        self._options, self._label_set = options, engine.label_set
        self._threshold = engine.min_confidence
        self._channels: dict[str, Channel] = {}
        for name, topic in output_names(camera, prefix, options).items():
            if name == node_topics.LABEL_INFO:
                self._channels[name] = ros_channel(topic, LABEL_INFO, depth=1, latched=True)
            elif name == node_topics.DERAINED_INFO:
                self._channels[name] = ros_channel(topic, CAMERA_INFO)
            else:
                self._channels[name] = ros_channel(
                    topic, COMPRESSED if _codec(name, options) else IMAGE)

    @property
    def topics(self) -> dict[str, str | None]:
        """Topics by the keys of NAMES, None where not written."""
        return {key: self._channels[name].topic if name in self._channels else None
                for key, name in NAMES.items()}

    @property
    def channels(self) -> list[Channel]:
        """Of all outputs."""
        return list(self._channels.values())

    def label_info(self, time_ns: int) -> Record:
        """Make the message that names the classes; a stamp has no room for all times of mcap."""
        stamp = min(time_ns, LATEST_STAMP_NS)
        message = make_label_info(make_header(stamp, ''), self._label_set, self._threshold)
        return self._record(node_topics.LABEL_INFO, LABEL_INFO, message, time_ns, time_ns, 0)

    def of_frame(self, record: Record, message: Any, frame: Any, info: Any) -> list[Record]:
        """
        Make the outputs of a frame, under its header and times.

        :param record: of the image that came in; `message`: the same, deserialized.
        :param frame: as the engine returns it.
        :param info: the CameraInfo that goes with it, deserialized; None where there is none.
        """
        encoding = output_encoding(getattr(message, 'encoding', 'rgb8'))  # none where compressed
        pixels = {node_topics.DERAINED: (frame.derained, encoding),
                  node_topics.LABELS: (frame.labels, 'mono8'),
                  node_topics.CONFIDENCE: (frame.confidence, 'mono8')}
        if self._options.pictures:
            pixels[node_topics.COLOR] = self._label_set.colorize(frame.labels), 'rgb8'
            pixels[node_topics.OVERLAY] = overlay(frame.derained, frame.labels,
                                                  self._label_set), 'rgb8'
        made = [self._image(name, message.header, *pixels[name], record)
                for name in pixels if name in self._channels]
        if info is not None:
            made.append(self._record(
                node_topics.DERAINED_INFO, CAMERA_INFO, replace(info, header=message.header),
                record.time_ns, record.publish_ns, record.sequence))
        return made

    def _image(self, name: str, header: Any, pixels: np.ndarray, encoding: str, record: Record
               ) -> Record:
        codec = _codec(name, self._options)
        times = record.time_ns, record.publish_ns, record.sequence
        if codec is None:
            return self._record(name, IMAGE, make_image(header, pixels, encoding), *times)
        stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
        data = cv2.imencode('.png' if codec == 'png' else '.jpg', stored, _PARAMETERS[codec])[1]
        kind = f'{encoding}; {codec} compressed {"bgr8" if pixels.ndim == 3 else encoding}'
        return self._record(name, COMPRESSED, make_compressed(header, data, kind), *times)

    def _record(self, name: str, msgtype: str, message: Any, time_ns: int, publish_ns: int,
                sequence: int) -> Record:
        return Record(self._channels[name], time_ns, publish_ns, sequence,
                      bytes(TYPES.serialize_cdr(message, msgtype)))


def _codec(name: str, options: Options) -> str | None:
    """Return what an output is compressed with; None: not."""
    if options.compress is None or name in (node_topics.LABEL_INFO, node_topics.DERAINED_INFO):
        return None
    return options.compress if name in (node_topics.DERAINED, node_topics.OVERLAY) else 'png'
