# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's tables and figures, made again: trainings, measurements and times together."""
