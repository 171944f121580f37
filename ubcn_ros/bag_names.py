# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of bags' files, for commands that need not load what reads them."""

from __future__ import annotations

ROSBAG2_SUFFIXES = ('.mcap', '.db3')
BAG_SUFFIXES = (*ROSBAG2_SUFFIXES, '.bag', '.bag.active')
"""Those of rosbag2 and of ROS 1, which calls a bag active until it is closed."""
PROCESSED = 'process.json'
"""Beside what `ubcn bag process` writes: what was done, and how far it has come."""


def has_bag_name(name: str, suffixes: tuple[str, ...] = BAG_SUFFIXES) -> bool:
    """Tell whether a file's name is one of a bag's storage, compressed or not."""
    return name.removesuffix('.zstd').endswith(suffixes)
