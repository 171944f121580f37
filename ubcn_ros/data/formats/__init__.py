# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A file a layout of data sets: the only code that knows one by name."""
