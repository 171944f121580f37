# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Name the topics of a camera, and resolve those of its inputs as image_transport does.

| input         | topic                                                                     |
|---------------|---------------------------------------------------------------------------|
| raw           | `image`                                                                   |
| compressed    | `/compressed` below the resolved `image`                                  |
| camera info   | `camera_info` beside the resolved `image`                                 |

A remapping of `image/compressed` or of `camera_info` itself comes first.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

IMAGE, CAMERA_INFO, COMPRESSED = 'image', 'camera_info', '/compressed'
DERAINED, DERAINED_INFO = 'derained/image_raw', 'derained/camera_info'
LABELS, LABEL_INFO, COLOR = 'labels/image_raw', 'labels/label_info', 'labels/color'
CONFIDENCE, OVERLAY = 'labels/confidence', 'overlay/image_raw'
# Per frame, names as in Autoware; DEBUG_FRAME holds all, under the image's stamp.
ITERATIONS, DEBUG_FRAME = 'debug/iterations', 'debug/frame'
PROCESSING_TIME, PIPELINE_LATENCY = 'debug/processing_time_ms', 'debug/pipeline_latency_ms'
RAIN_RATE, VISIBILITY = 'rain/rate', 'rain/visibility'
MADE_OF = {DERAINED: ('derained',), LABELS: ('labels',), COLOR: ('labels',),
           CONFIDENCE: ('confidence',), OVERLAY: ('derained', 'labels')}
"""Images that are published, and what of the engine's results each of them needs."""
ON_DEMAND = {
    **dict.fromkeys(MADE_OF, 'sensor_msgs/msg/Image'),
    DERAINED_INFO: 'sensor_msgs/msg/CameraInfo', ITERATIONS: 'std_msgs/msg/Int32',
    **dict.fromkeys((PROCESSING_TIME, PIPELINE_LATENCY), 'std_msgs/msg/Float64'),
    DEBUG_FRAME: 'diagnostic_msgs/msg/DiagnosticArray'}
"""Outputs and their types, of which at least one needs a subscriber for the engine to work."""
RAIN = dict.fromkeys((RAIN_RATE, VISIBILITY), 'std_msgs/msg/Float32')
"""Further such outputs, of models that estimate the rain."""
DIAGNOSTICS = '/diagnostics'
"""Topic of the node, not of a camera."""
_RULE = re.compile(r'((?P<node>\w+):(?!//))?(rostopic://)?(?P<topic>[^:]+):=.*')


@dataclass(frozen=True)
class Inputs:
    """Names to subscribe to, and the name whose remapping leads to the images."""

    image: str
    camera_info: str
    remap: str


def inputs(node: Any, prefix: str, transport: str, arguments: Sequence[str] | None = None
           ) -> Inputs:
    """
    Find the topics of a camera.

    :param node: rclpy node, for its namespace and remappings.
    :param prefix: put before every topic, like 'front/'; '' for none.
    :param transport: 'raw' or 'compressed'.
    :param arguments: command line that the node was started with; the process's own by default.
    """
    arguments = sys.argv if arguments is None else arguments
    remap = image = prefix + IMAGE
    base = node.resolve_topic_name(image)
    if transport == 'compressed':
        image += COMPRESSED
        if remapped(node, image, arguments):
            remap = image
            base = base_topic(node.resolve_topic_name(image))
        else:
            image = base + COMPRESSED
    camera_info = prefix + CAMERA_INFO
    if not remapped(node, camera_info, arguments):
        camera_info = camera_info_topic(base)
    return Inputs(image, camera_info, remap)


def base_topic(topic: str) -> str:
    """Return an image topic without its transport: '/front/image' of '/front/image/compressed'."""
    return topic.removesuffix(COMPRESSED)


def camera_info_topic(image: str) -> str:
    """Return where image_transport has the camera info of an image topic of either transport."""
    return f'{base_topic(image).rpartition("/")[0]}/{CAMERA_INFO}'


def is_output(topic: str) -> bool:
    """Say whether images of this topic are, by its name, an output of the node."""
    return ('/' + base_topic(topic)).endswith(tuple('/' + name for name in MADE_OF))


def remapped(node: Any, name: str, arguments: Sequence[str]) -> bool:
    """Say whether a remapping rule of a command line names this topic, or leads it to itself."""
    expanded = node.resolve_topic_name(name, only_expand=True)
    # rclpy cannot tell camera_info:=camera_info, which asks for this very topic, from no rule.
    return node.resolve_topic_name(name) != expanded or any(
        flag in ('-r', '--remap') and _names(rule, node.get_name(), (name, expanded))
        for flag, rule in pairwise(arguments))


def _names(rule: str, node_name: str, topics: Sequence[str]) -> bool:
    """Say whether a remapping rule is for a node of this name, and for one of these topics."""
    match = _RULE.fullmatch(rule)
    return match is not None and match['topic'] in topics and match['node'] in (None, node_name)
