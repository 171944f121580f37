# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain and other degradations, data sets and procedural drives; no ROS in here."""
