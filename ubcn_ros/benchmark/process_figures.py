# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a process uses."""

from __future__ import annotations

import os
from pathlib import Path

from ubcn_ros.node.diagnostics import resident_mib


def process_figures(pid: int) -> tuple[float, float]:
    """
    Read what a process has used, from /proc (proc(5)).

    :return: resident memory in MiB, and CPU seconds of user and system; NaN where it is gone.
    """
    try:
        # the name before the last ')' may hold anything
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return float('nan'), float('nan')
    return (resident_mib(pid),
            (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'))
