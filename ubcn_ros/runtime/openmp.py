# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Threads of GNU OpenMP, which runs PyTorch's layers on a CPU."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_PAUSE_HARD = 2  # omp_pause_resource_t (OpenMP 5.0, 3.2.44): memory and threads are freed


def release_openmp_threads() -> bool:
    """
    End the threads that wait for the calling thread's next layer; the next layer makes them anew.

    GNU OpenMP lets threads spin for each other only while a process has no more of them than there
    are cores. Where one thread has loaded an engine and another runs it, each has threads of its
    own, and layers take a quarter longer: the first is to call this.

    :return: whether it was done; False where PyTorch runs on another OpenMP, or an old one.
    """
    try:
        # paths in any encoding
        mapped = os.fsdecode(Path('/proc/self/maps').read_bytes()).splitlines()
        path = next(line.split(maxsplit=5)[5] for line in mapped if 'libgomp' in line)
        return ctypes.CDLL(path).omp_pause_resource_all(_PAUSE_HARD) == 0
    except (OSError, StopIteration, AttributeError):
        return False
