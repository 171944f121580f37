# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of merit: per rain rate, per step of the loop, against baselines."""
