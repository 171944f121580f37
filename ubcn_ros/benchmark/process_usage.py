# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What another process uses: memory and CPU time, of /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

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


class ProcessUsage:
    """What a process uses from now on; see `process_figures`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._resident, self._cpu = process_figures(pid)
        self._started = time.monotonic()
        self._soaked: float | None = None

    def mark(self) -> None:
        """Count the growth of memory from here."""
        self._soaked = process_figures(self._pid)[0]

    def figures(self) -> dict[str, Any]:
        """
        Return `cpu_seconds`, `cpu_percent` (of one core) and `rss_mib`.

        The last holds start, after_1000, end and growth.
        """
        end, cpu = process_figures(self._pid)
        base = self._resident if self._soaked is None else self._soaked
        used = cpu - self._cpu
        return {'cpu_seconds': round(used, 2),
                'cpu_percent': round(100 * used / (time.monotonic() - self._started), 1),
                'rss_mib': {'start': round(self._resident, 1),
                            'after_1000': None if self._soaked is None else round(self._soaked, 1),
                            'end': round(end, 1), 'growth': round(end - base, 1)}}
