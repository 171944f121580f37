# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of the loop as ONNX and torch.export models, checked against PyTorch."""
