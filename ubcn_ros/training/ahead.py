# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is rendered before it is needed, on several processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ubcn_ros.training.samples import single_thread, worker_batches


def rendered_ahead(items: Dataset, workers: int) -> Iterator[Any]:
    """
    Yield the items of a data set in their order; arrays stay arrays.

    :param items: picklable parts of numpy arrays, each the same whoever renders it.
    :param workers: processes that render, 0 to render in this one.
    :raises ValueError, DataSetError: as of ``worker_batches``.
    """
    yield from worker_batches(DataLoader(
        items, batch_size=None, num_workers=min(workers, len(items)), collate_fn=_as_is,
        worker_init_fn=single_thread,
        generator=torch.Generator()))  # the random state stays as it is


def _as_is(item: Any) -> Any:
    return item
