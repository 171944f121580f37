# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processed bags as `ubcn bag process` and a recording of the node leave them, for tests."""

import json

import cv2
import numpy as np

from ubcn_ros.bags import IMAGE, McapBagWriter, make_header, make_image
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.data.formats.camvid import CAMVID

HEIGHT, WIDTH = 48, 64
SECOND = 1_000_000_000
FRONT = {'topic': '/front/image_raw', 'derained': '/front/derained/image_raw',
         'labels': '/front/labels/image_raw', 'confidence': '/front/labels/confidence'}


def clean(number):
    """Smooth (H, W, 3) uint8 RGB."""
    coarse = np.random.default_rng(number).integers(60, 180, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def rainy(number):
    """Brighter by 40."""
    return clean(number) + np.uint8(40)


def derained(number, rest=10):
    """Brighter by what is left of the rain, more with every frame."""
    return clean(number) + np.uint8(rest + number)


def labels(number, shift=0):
    """Sky above, road below; ``shift`` more rows are sky."""
    mask = np.full((HEIGHT, WIDTH), 3, np.uint8)
    mask[:HEIGHT // 2 + shift] = 0
    return mask


def confidence(number):
    """The same everywhere, less with every frame."""
    return np.full((HEIGHT, WIDTH), 250 - 10 * number, np.uint8)


def debug(header, latency):
    """Make debug/frame as the node does."""
    value = TYPES.types['diagnostic_msgs/msg/KeyValue']
    status = TYPES.types['diagnostic_msgs/msg/DiagnosticStatus'](
        0, 'camera', '', '', [value('iterations', '3'),
                              value('pipeline latency (ms)', f'{latency:.3f}')])
    return TYPES.types['diagnostic_msgs/msg/DiagnosticArray'](header, [status])


def write_bag(path, topics, count=4, stamps=None, times=None):
    """
    Write images at 10 Hz; ``topics`` are names and functions of the frame's number.

    A function may return a message in place of an image, or None for none; those that take a
    header are called with it, too. ``stamps`` are those of the frames, ``times`` of recording, ns.
    """
    with McapBagWriter(path) as writer:
        for number in range(count):
            time = times[number] if times else SECOND + number * SECOND // 10
            header = make_header(stamps[number] if stamps else time, 'camera')
            for topic, make in topics.items():
                made = make(number, header) if topic.endswith('debug/frame') else make(number)
                if isinstance(made, np.ndarray):
                    made = make_image(header, made, 'rgb8' if made.ndim == 3 else 'mono8')
                if made is not None:
                    kind = IMAGE if isinstance(made, bytes) else made.__msgtype__
                    writer.write_message(topic, kind, made, time)
    return path


def sidecar(path, cameras=(FRONT,), **more):
    """Write process.json beside a bag."""
    (path / 'process.json').write_text(json.dumps({
        'cameras': list(cameras), 'iterations': 3, 'processing_size': 360, 'finished': True,
        'model': {'name': 'tiny', 'sha256': 'ab' * 32, 'label_set': CAMVID.to_dict()}, **more}))
    return path


def processed(path, rest=10, shift=0, **more):
    """Write a bag as `ubcn bag process` leaves it, the inputs in it."""
    write_bag(path, {
        FRONT['topic']: rainy, FRONT['derained']: lambda n: derained(n, rest),
        FRONT['labels']: lambda n: labels(n, shift), FRONT['confidence']: confidence}, **more)
    return sidecar(path)
