# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is rendered before it is needed, on several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from ubcn_ros.training.samples import single_thread, worker_batches


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
