# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tell errors that mean too little memory from others, give back what is kept, and try again."""

from __future__ import annotations

import gc
import re
import sys
from contextlib import suppress
from typing import Any

from ubcn_ros.malloc import give_back_freed_memory

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


def free_memory() -> None:
    """Give back what nobody refers to any more, on the GPU too."""
    gc.collect()
    release_cached_memory()
    give_back_freed_memory()


def bare(error: BaseException) -> BaseException:
    """Take an error's traceback away, and what led to it: their frames keep memory."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def infer_freeing_memory(engine: Any, image: Any, options: dict[str, Any],
                         again: dict[str, Any] | None = None) -> tuple[Any, Exception | None]:
    """
    Run the engine on an image; where memory does not suffice, free what is kept and try once more.

    What is freed is also what the engine keeps for images of any size.

    :param options: as in ``Engine.__call__``.
    :param again: options that are others the second time.
    :return: the frame, and the error that it was tried again for, without what keeps memory.
    :raises Exception: the engine's, of the second time where there was one.
    """
    try:
        return engine(image, **options), None
    except Exception as error:
        if not out_of_memory(error):
            raise
        short = bare(error)
    engine.release_all()  # outside the handler: the traceback kept what had been allocated
    free_memory()
    return engine(image, **{**options, **(again or {})}), short
