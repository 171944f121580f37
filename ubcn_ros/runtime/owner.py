# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An engine serves the process that loaded it, one thread at a time."""

from __future__ import annotations

import os
import threading

from ubcn_ros.runtime.openmp import release_openmp_threads

# GNU OpenMP would wait for ever, in a forked process, for threads that only its parent has
os.register_at_fork(before=release_openmp_threads)


class Owner:
    """
    Refuses a second thread while one is at work, and other processes; a context manager.

    All frames write to the same buffers, and threads of libraries do not survive a fork: without
    this, results would be wrong, or never come.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        """
        Begin work.

        :raises RuntimeError: of another process, or while another thread is at work.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                f'an Engine belongs to the process that loaded it, {self._process}, and this is '
                f'{os.getpid()}: call Engine.load in each process, and start it by spawn, as CUDA '
                'and ONNX Runtime do not survive a fork')
        if not self._lock.acquire(blocking=False):
            raise RuntimeError('an Engine serves one thread at a time: give each thread an Engine '
                               'of its own, hold a lock, or give several images to `batch`')

    def __exit__(self, *_: object) -> None:
        """End work."""
        self._lock.release()
