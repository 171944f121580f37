# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What storage files have in common."""

from __future__ import annotations

from typing import NamedTuple


class StoredTopic(NamedTuple):
    """
    A topic as a storage file has it; there may be several of one name.

    `msgtype` is like 'sensor_msgs/msg/Image', `encoding` is 'cdr' for ROS 2, `count` the number
    of messages that the file says it holds, or that were found where it says nothing.
    """

    topic: str
    msgtype: str
    encoding: str
    count: int
