# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Procedural drives: a world, what is in it, and how it is drawn."""
