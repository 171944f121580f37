# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of bags, made and decoded without a ROS installation."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ubcn_ros.bags.errors import MalformedMessage, reason
from ubcn_ros.bags.storage.records import Record
from ubcn_ros.images.messages import MalformedImage, compressed_to_rgb, to_rgb

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
LATEST_STAMP_NS = (2**31 - 1) * 10**9
"""Latest time that a stamp can hold: its seconds are int32."""
ZSTD_MAGIC, LZ4_MAGIC = b'\x28\xb5\x2f\xfd', b'\x04\x22\x4d\x18'
"""What compressed data begin with, and CDR never does."""
TYPES = get_typestore(Stores.ROS2_JAZZY)
"""Standard types, and LabelInfo; the definitions in a bag are not needed for them."""
TYPES.register(get_types_from_msg('uint16 class_id\nstring class_name\n',
                                  'vision_msgs/msg/VisionClass'))
TYPES.register(get_types_from_msg('std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
                                  'float32 threshold\n', LABEL_INFO))


def stamp_ns(header: Any) -> int:
    """Return the stamp of a std_msgs/Header in nanoseconds."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def make_header(time_ns: int, frame_id: str) -> Any:
    """Make a std_msgs/Header."""
    time = TYPES.types['builtin_interfaces/msg/Time'](*divmod(time_ns, 1_000_000_000))
    return TYPES.types['std_msgs/msg/Header'](time, frame_id)


def make_image(header: Any, image: np.ndarray, encoding: str = 'rgb8') -> Any:
    """
    Make a sensor_msgs/Image without row padding.

    :param image: (H, W, 3) uint8 RGB for rgb8 and bgr8, (H, W) uint8 for mono8.
    """
    if encoding == 'bgr8':
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data = np.ascontiguousarray(image).reshape(-1)
    height, width = image.shape[:2]
    return TYPES.types[IMAGE](header, height, width, encoding, 0, data.size // height, data)


def make_compressed(header: Any, data: bytes, kind: str | None = None) -> Any:
    """
    Make a sensor_msgs/CompressedImage of the bytes of a PNG or JPEG.

    :param kind: its format, as 'bgr8; jpeg compressed bgr8'; None for 'png' or 'jpeg'.
    """
    if kind is None:
        kind = 'png' if data.startswith(b'\x89PNG') else 'jpeg'
    return TYPES.types[COMPRESSED](header, kind, np.frombuffer(data, np.uint8))


def make_label_info(header: Any, label_set: Any, threshold: float) -> Any:
    """
    Describe the classes of masks as a vision_msgs/LabelInfo.

    :param label_set: the LabelSet.
    :param threshold: confidence below which pixels are unlabeled, 0..1.
    """
    kind = TYPES.types['vision_msgs/msg/VisionClass']
    return TYPES.types[LABEL_INFO](header, [kind(number, name) for number, name
                                            in enumerate(label_set.classes)], threshold)


def deserialize(data: bytes, msgtype: str) -> Any:
    """
    Deserialize a message by the standard definition of its type.

    :raises MalformedMessage: the data are not of this type.
    """
    if data[:4] == ZSTD_MAGIC:
        raise MalformedMessage('its zstd compression is damaged')
    if data[:4] == LZ4_MAGIC:
        raise MalformedMessage('it is compressed with lz4, and only zstd is read: convert the '
                               'bag with `ros2 bag convert`')
    try:
        return TYPES.deserialize_cdr(data, msgtype)
    except Exception as error:  # wrong bytes end in errors of many kinds
        raise MalformedMessage(f'it is not a {msgtype}: {reason(error)}') from error


def decode(message: Any) -> np.ndarray:
    """
    Convert a deserialized Image or CompressedImage to (H, W, 3) uint8 RGB.

    :raises MalformedMessage: the message cannot be an image.
    """
    try:
        return to_rgb(message) if hasattr(message, 'step') else compressed_to_rgb(message)
    except MalformedImage as error:
        raise MalformedMessage(error.text('bag')) from error


def decode_record(record: Record) -> tuple[Any, np.ndarray]:
    """
    Return the message of an image's record and its pixels, (H, W, 3) uint8 RGB.

    :raises MalformedMessage: it cannot be an image.
    """
    message = deserialize(record.data, record.channel.msgtype)
    return message, decode(message)
