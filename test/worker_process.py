# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a worker process does for the tests of what ends it, however it was started."""

import time

from ubcn_ros.stopping import leave_signals_to_parent


def work(ready):
    """Leave signals to the parent, tell by an event of ``multiprocessing``, and go on."""
    leave_signals_to_parent()
    ready.set()
    time.sleep(60)
