# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The least time that a network's convolutions need on this machine (Williams et al., CACM 2009).

Every convolution does its operations and moves its input, output and weights once; whichever
takes longer on the machine's measured ceilings is its roofline time. What stands between
convolutions is free here, so a share of the roofline is never flattered. Fused layers could go
below it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Ceilings:
    """What the machine can do: multiply-accumulates per second, bytes read and written per s."""

    macs_per_s: float
    bytes_per_s: float


@dataclass
class Work:
    """Convolutions that ran: multiply-accumulates, bytes, and their roofline time in seconds."""

    macs: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0


def _best_seconds(run: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(6):
        _synchronize(device)
        start = time.perf_counter()
        run()
        _synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])  # the first warms up


def _synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """
    Measure the ceilings: a large matrix product in this precision, and a large copy.

    On a GPU, fp32 products may use TF32 where convolutions do.

    :return: best of five runs each.
    """
    gpu = device.type == 'cuda'
    n, length = (8192, 1 << 30) if gpu else (2048, 1 << 27)
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        product = _best_seconds(lambda: a @ b, device)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = _best_seconds(lambda: target.copy_(source), device)
    return Ceilings(n ** 3 / product, 2 * length / copy)


@contextmanager
def count_convolutions(network: nn.Module, ceilings: Ceilings):
    """Count the convolutions that run inside; gives the Work that is filled meanwhile."""
    work = Work()

    def count(module: nn.Conv2d, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        macs = output.numel() * module.weight[0].numel()
        moved = sum(t.numel() * t.element_size() for t in (inputs[0], output, module.weight))
        work.macs += macs
        work.bytes += moved
        work.seconds += max(macs / ceilings.macs_per_s, moved / ceilings.bytes_per_s)

    handles = [module.register_forward_hook(count) for module in network.modules()
               if isinstance(module, nn.Conv2d)]
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()
