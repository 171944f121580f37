# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node is to be given: the load, and the images."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

import numpy as np

from ubcn_ros.bags.live.client import DERAINED, LABELS
from ubcn_ros.runtime.installed import DEFAULT_MODEL


@dataclass(frozen=True)
class Load:
    """What to send to which node; sizes in pixels, `rate_hz` in images per second and camera."""

    frames: int = 1000
    width: int = 640
    height: int = 480
    rate_hz: float = 30.0
    model: str = DEFAULT_MODEL
    device: str = 'auto'
    iterations: int = 3
    shared_memory: bool = True
    processing_size: int = -1
    cameras: int = 1
    mask_only: bool = False  # whether clients take the mask alone

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cameras; a single one has none."""
        return tuple(f'camera_{n}' for n in range(self.cameras)) if self.cameras > 1 else ('',)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Topics of the images that are taken, the last one published last."""
        return (LABELS,) if self.mask_only else (LABELS, DERAINED)


class Stamped:
    """One serialized image under ever new stamps."""

    def __init__(self, height: int, width: int):
        from rclpy.serialization import serialize_message
        from sensor_msgs.msg import Image

        from ubcn_ros.images.messages import fill_image
        rows, columns = np.mgrid[:height, :width]
        image = np.stack([rows % 256, columns % 256, (rows + columns) % 256], 2).astype(np.uint8)
        message = Image()
        message.header.frame_id = 'camera'
        self._data = bytearray(serialize_message(
            fill_image(message, message.header, image, 'rgb8')))
        self._order = '<' if self._data[1] & 1 else '>'

    def now(self) -> bytes:
        """Return it with the present time."""
        seconds, nano = divmod(time.time_ns(), 1_000_000_000)
        struct.pack_into(self._order + 'iI', self._data, 4, seconds, nano)
        return bytes(self._data)
