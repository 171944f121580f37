# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tell errors that mean too little memory from others, and give back what is kept of it."""

from __future__ import annotations

import re
import sys
from contextlib import suppress

# PyTorch has a class for what its allocator of GPU memory refuses, and none for its allocator of
# the host's, for memory that CUDA, cuBLAS and cuDNN take themselves, and for ONNX Runtime's arena;
# without NVML's answer, as on a Jetson, its allocator fails as it tells of it (pytorch #185240);
# OpenCV has one class for all errors
_TEXTS = re.compile(r'out of memory|allocate memory|_STATUS\w*_ALLOC(?:ATION)?_FAILED|'
                    r'Insufficient memory|Available memory of \d+ is smaller than requested|'
                    r'std::bad_alloc|NVML_SUCCESS == r INTERNAL ASSERT FAILED.*CachingAllocator',
                    re.IGNORECASE)


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory, of the host or of a GPU, did not suffice."""
    torch = sys.modules.get('torch')
    if isinstance(error, MemoryError) or (
            torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, Exception) and _TEXTS.search(str(error)) is not None


def release_cached_memory() -> None:
    """
    Give the GPU memory back that PyTorch keeps for later, where it can.

    After a graph's capture that CUDA ended, PyTorch before 2.13 cannot (pytorch #180395), and
    after an illegal access nobody can: what is told then is that error, not this one.
    """
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
