# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of bags: mcap, sqlite3 and ROS 1 read, damaged ones too; mcap written."""
