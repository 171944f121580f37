# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One HTML file about a processed bag, a pair of them, or an evaluation, that opens anywhere.

`page` is what a report holds and how it becomes HTML; `bag` and `evaluation` fill it; `compare`
gives the figures of two bags alone.
"""
