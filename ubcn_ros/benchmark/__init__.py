# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Speed: of the engine, of its start, of a running node; equality of backends; fuzzing."""
