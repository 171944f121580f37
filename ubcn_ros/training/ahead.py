# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is rendered before it is needed, on several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader


def rendered_ahead(render: Callable[[int], Any], numbers: Sequence[int], workers: int
                   ) -> Iterator[Any]:
    """
    Yield what a function makes of each number, in their order; arrays stay arrays.

    :param render: picklable, as what it makes; the same whoever calls it.
    :param workers: processes that render, 0 to render in this one.
    :raises ValueError, DataSetError: as of ``worker_batches``.
    """
    yield from worker_batches(DataLoader(
        numbers, batch_size=None, num_workers=min(workers, len(numbers)), collate_fn=render,
        worker_init_fn=single_thread,
        generator=torch.Generator()))  # the random state stays as it is


def worker_batches(loader: Iterable[Any]) -> Iterator[Any]:
    """
    Yield what a loader does; what is wrong with a file or a value is said in its own words.

    :raises ValueError, DataSetError: PyTorch wraps that of a worker process into the text of its
        traceback.
    """
    try:
        yield from loader
    except ValueError as error:
        text = str(error)
        if 'Original Traceback' not in text:
            raise
        raise type(error)(text.rstrip().rsplit(f'{type(error).__name__}: ')[-1]) from error


def single_thread(_worker: int) -> None:
    """Let OpenCV compute on one core in a worker process, as PyTorch does there by itself."""
    cv2.setNumThreads(0)
