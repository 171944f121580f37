# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a call, on a GPU or of the process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from pathlib import Path

import torch

from ubcn_ros.malloc import give_back_freed_memory


def peak_mib(call: Callable[[], object], device: torch.device) -> float:
    """
    Measure the peak memory of one call, MiB.

    On a GPU what PyTorch's allocator held, with the memory of all CUDA graphs there are; on a CPU
    the process' resident memory, with whatever else it holds, but not what it has freed, and,
    where the system does not let the peak be reset, what it held before.
    """
    gc.collect()
    give_back_freed_memory()  # which would count as held, once a larger call has been
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        call()
        # graphs have pools of their own, of which the peak knows nothing
        pools = sum(segment['total_size'] for segment in torch.cuda.memory_snapshot()
                    if segment['device'] == (device.index or 0)
                    and tuple(segment.get('segment_pool_id', (0, 0))) != (0, 0))
        return round((torch.cuda.max_memory_allocated(device) + pools) / 2**20, 1)
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')  # resets the peak, see proc(5)
    call()
    status = Path('/proc/self/status').read_text()
    return round(int(status.split('VmHWM:')[1].split()[0]) / 1024, 1)
