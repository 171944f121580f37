# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Operators by kernels of our own: fused_X swaps the modules, triton_X is the kernel."""
