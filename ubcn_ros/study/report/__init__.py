# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that the studies have found as one HTML page and one PDF, beside the paper."""
