# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Share out the threads and GPUs of a machine among its workers."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Setup:
    """
    Sets a worker's process up, before PyTorch is imported in it.

    :param threads: of PyTorch on the CPU, and of OpenCV; None leaves it to them.
    :param gpus: as CUDA_VISIBLE_DEVICES names them, one for each worker in turn; () leaves all.
    """

    threads: int | None = None
    gpus: tuple[str, ...] = ()

    def __call__(self, number: int) -> None:
        """Set the process of the worker of this number up."""
        if self.threads is not None:
            import cv2
            os.environ['OMP_NUM_THREADS'] = str(self.threads)
            cv2.setNumThreads(self.threads)
        if self.gpus:
            os.environ['CUDA_VISIBLE_DEVICES'] = self.gpus[number % len(self.gpus)]


def share_out(device: str, workers: int | None, threads: int | None) -> tuple[int, Setup]:
    """
    Choose how many workers this machine has, and what each gets of it.

    :param device: of the engine; 'auto' and 'cuda' are all GPUs, one for a worker.
    :param workers, threads: as the user wants them; None: one worker for each GPU, or one; the
        cores, shared out among workers on the CPU, unless OMP_NUM_THREADS is set.
    """
    gpus = _gpus() if device in ('auto', 'cuda') else ()
    count = workers or max(1, len(gpus))
    on_cpu = not gpus and not device.startswith('cuda')
    if threads is None and on_cpu and 'OMP_NUM_THREADS' not in os.environ:
        threads = max(1, len(os.sched_getaffinity(0)) // count)
    return count, Setup(threads, gpus)


def _gpus() -> tuple[str, ...]:
    import torch
    if not torch.cuda.is_available():
        return ()
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible:
        return tuple(visible.split(','))
    return tuple(map(str, range(torch.cuda.device_count())))
