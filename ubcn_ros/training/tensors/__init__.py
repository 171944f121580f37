# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training samples as tensors on the device: scenes, views of them, colours and rain."""
