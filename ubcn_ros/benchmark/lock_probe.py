# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node with a thread that probes the GIL: `lock_probe FILE [node's arguments]`.

The thread sleeps, and notes by how much it wakes too late, but for the time that it was ready and
had no processor: what is more than on an idle node, it waited for other threads that held
it. It notes its own CPU time, too, which is none of the node's. All goes to FILE as it comes, so
that the node's memory does not grow by it.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_PERIOD = 0.002  # seconds
_SAMPLE = struct.Struct('3d')
_CLEAR_MS = 0.05  # later than idle by more than this is a wait


class LockProbe:
    """
    Probes while its block runs; a context manager.

    :param file: takes the samples, three doubles each: time.monotonic(), seconds; lateness, ms;
        CPU seconds of the probe until then.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> LockProbe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with _RunQueue() as queue:
            before = queue.waited_ms()
            while not self._stopped.is_set():
                due = time.monotonic() + _PERIOD
                time.sleep(_PERIOD)
                now, waited = time.monotonic(), queue.waited_ms()
                self._file.write(_SAMPLE.pack(now, (now - due) * 1e3 - (waited - before),
                                              time.thread_time()))
                before = waited


class _RunQueue:
    """How long this thread has waited for a processor, of Linux (proc(5), schedstat); or 0."""

    def __enter__(self) -> _RunQueue:
        try:
            self._file = os.open('/proc/thread-self/schedstat', os.O_RDONLY)
        except OSError:
            self._file = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def waited_ms(self) -> float:
        return 0.0 if self._file is None else int(os.pread(self._file, 64, 0).split()[1]) / 1e6


def lock_figures(samples: np.ndarray, start: float, end: float, frames: int) -> dict[str, Any]:
    """
    Tell how the GIL was held while frames were processed.

    :param samples: as of LockProbe, (N, 3).
    :param start, end: of that time, time.monotonic(), seconds; the second before is idle.
    :param frames: processed in it.
    :return: `busy_percent`, the share of probes that had to wait, `wait_p50_ms`, `wait_p95_ms` and
        `wait_max_ms` of these, and `held_ms_per_frame`, that share of the time, less what is late
        on an idle node, too, per frame; None where there are no samples.
    """
    times, late, _ = samples.T
    idle, during = late[(times < start) & (times > start - 1.0)], late[
        (times >= start) & (times <= end)]
    if not len(during) or not len(idle):
        return dict.fromkeys(('busy_percent', 'wait_p50_ms', 'wait_p95_ms', 'wait_max_ms',
                              'held_ms_per_frame'))
    usual = np.median(idle)
    waits = during - usual
    waits = waits[waits > _CLEAR_MS]
    busy, late_anyway = len(waits) / len(during), np.mean(idle - usual > _CLEAR_MS)
    held = max(0.0, (busy - late_anyway) / max(1.0 - late_anyway, 1e-9))
    p50, p95, most = np.percentile(waits, (50, 95, 100)) if len(waits) else (0.0,) * 3
    return {'busy_percent': round(100 * busy, 1), 'wait_p50_ms': round(float(p50), 2),
            'wait_p95_ms': round(float(p95), 2), 'wait_max_ms': round(float(most), 2),
            'held_ms_per_frame': round(1e3 * held * (end - start) / frames, 2) if frames else None}


def probe_cpu_seconds(samples: np.ndarray, start: float, end: float) -> float:
    """
    Tell what the probe itself used of the node's CPU time.

    :param samples: as of LockProbe, (N, 3).
    :param start, end: of that time, time.monotonic(), seconds.
    :return: CPU seconds; 0 where there are no samples.
    """
    if not len(samples):
        return 0.0
    before, after = np.interp((start, end), samples[:, 0], samples[:, 2])
    return float(after - before)


def read_samples(path: Path) -> np.ndarray:
    """Read what a probe left, (N, 3); none where there is nothing."""
    return np.fromfile(path).reshape(-1, 3) if path.exists() else np.zeros((0, 3))


def main(arguments: Sequence[str]) -> int:
    """Run the node with a probe; return its exit code."""
    from ubcn_ros.benchmark.stand_in import load
    from ubcn_ros.node.main import main as run_node
    with open(arguments[0], 'wb') as file, LockProbe(file):
        return run_node(arguments[1:], load)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
