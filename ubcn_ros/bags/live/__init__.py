# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags and the running node: played to live topics, and through the node as its client."""
