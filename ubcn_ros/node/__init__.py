# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 edge: images in, derained images and label masks out, around one engine."""
