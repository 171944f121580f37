# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time the engine, its start, a node, bags, trainings; compare backends; random traffic."""
