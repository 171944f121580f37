# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the engine runs the steps: eager, graphs, compiled, onnxruntime."""
