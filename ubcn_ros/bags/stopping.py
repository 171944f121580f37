# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where `ubcn_ros.stopping` is imported from, too."""

from ubcn_ros.stopping import Stopped, signals_held, stop_on_signals

__all__ = ['Stopped', 'signals_held', 'stop_on_signals']
