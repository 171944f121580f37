# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed messages, and among them whole ones, at a running node over DDS."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.bags.live.client import Client
from ubcn_ros.bags.live.node_process import ReplayError, enter_private_domain
from ubcn_ros.benchmark.camera_client import START_SECONDS, counters
from ubcn_ros.benchmark.fuzzing import any_compressed, any_image, is_whole
from ubcn_ros.benchmark.node import start_node
from ubcn_ros.benchmark.node_load import Load, Stamped


def fuzz(count: int, compressed: bool, load: Load, progress: Callable[[], Any]
         ) -> dict[str, Any]:
    """
    Send malformed messages, and among them whole ones, through a node that has to survive them.

    :param progress: called after every message.
    :return: `kind` of the messages; `sent` = `processed` + `malformed` + `dropped`, of these
        `failed`; and what the conversion layer said of the same messages here,
        `expected_malformed` and `expected_processed`.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    enter_private_domain(load.shared_memory)
    random = np.random.default_rng(0)
    expected = {'processed': 0, 'malformed': 0}
    with tempfile.TemporaryDirectory() as folder, \
            start_node(load, Path(folder), 'compressed' if compressed else 'raw') as node, \
            Client(node, compressed, None) as client:
        client.wait_until_active(START_SECONDS)
        client.probe(_whole(compressed))
        before = counters(client)
        for number in range(count):
            data, whole = _any_message(random, compressed, number)
            expected['processed' if whole else 'malformed'] += 1
            outputs = len(client.outputs)
            client.publish(data)
            client.check()
            # one at a time, so that none is replaced before it has been looked at
            end = time.monotonic() + (2.0 if whole else 0.006)
            while time.monotonic() < end and len(client.outputs) < outputs + 2:
                time.sleep(0.0005)
            progress()
        change = counters(client, before)
        if node.stop():
            raise ReplayError(f'the node ended with exit code {node.process.returncode}')
    never_counted = count - change['received']
    return {'kind': 'CompressedImage' if compressed else 'Image', 'sent': count,
            'processed': change['processed'], 'malformed': change['malformed'],
            'dropped': change['dropped'] + never_counted, 'failed': change['dropped (failed)'],
            'expected_processed': expected['processed'],
            'expected_malformed': expected['malformed']}


def _any_message(random: np.random.Generator, compressed: bool, second: int
                 ) -> tuple[bytes, bool]:
    """Draw a message; return it serialized, and whether an image can be read of it."""
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage, Image
    message = CompressedImage(data=any_compressed(random)) if compressed else \
        Image(**any_image(random))
    message.header.stamp.sec = second
    return serialize_message(message), is_whole(message, compressed)


def _whole(compressed: bool) -> bytes:
    if not compressed:
        return Stamped(64, 64).now()
    import cv2
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage
    return serialize_message(CompressedImage(
        data=cv2.imencode('.png', np.zeros((64, 64, 3), np.uint8))[1].tobytes()))
