# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Render ahead of the training, in several processes."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from ubcn_ros.stopping import leave_signals_to_parent, signals_held

_ENDED = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)')


def rendered_ahead(render: Callable[[int], Any], numbers: Sequence[int], workers: int
                   ) -> Iterator[Any]:
    """
    Yield what a function makes of each number, in their order; arrays stay arrays.

    :param render: picklable, as what it makes; the same whoever calls it.
    :param workers: processes that render, 0 to render in this one.
    :raises ValueError, DataSetError, ChildProcessError: as of ``worker_batches``.
    """
    yield from worker_batches(DataLoader(
        numbers, batch_size=None, num_workers=min(workers, len(numbers)), collate_fn=render,
        worker_init_fn=as_worker,
        generator=torch.Generator()))  # the random state stays as it is


def worker_batches(loader: DataLoader) -> Iterator[Any]:
    """
    Yield what a loader does; what is wrong with a file or a value is said in its own words.

    :param loader: with ``as_worker``.
    :raises ValueError, DataSetError: PyTorch wraps that of a worker process into the text of its
        traceback.
    :raises ChildProcessError: a worker process was ended; only where a batch is waited for.
    """
    try:
        with signals_held():  # processes begin so
            batches = iter(loader)
        heard = signal.getsignal(signal.SIGCHLD)
        if not callable(heard) or threading.current_thread() is not threading.main_thread():
            yield from batches
            return
        for batch in batches:
            # PyTorch's handler would raise in the middle of an optimizer step
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                yield batch
            finally:
                signal.signal(signal.SIGCHLD, heard)
            heard(signal.SIGCHLD, None)
    except ValueError as error:
        text = str(error)
        if 'Original Traceback' not in text:
            raise
        raise type(error)(text.rstrip().rsplit(f'{type(error).__name__}: ')[-1]) from error
    except RuntimeError as error:
        if not (ended := _ENDED.match(str(error))):
            raise
        raise ChildProcessError(
            f'worker process {ended[1]} was ended, as the system does where memory is short: '
            'take fewer --workers, or make memory free') from error


def as_worker(_worker: int) -> None:
    """
    Begin a worker process.

    OpenCV computes on one core, as PyTorch does there by itself.
    """
    leave_signals_to_parent()
    cv2.setNumThreads(0)
