# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data looked at before it is trained on: faults, shares, copies, and a sheet to look at."""
