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

import functools
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Ceilings:
    """What the machine can do: multiply-accumulates per second, bytes read and written per s."""

    macs_per_s: float
    bytes_per_s: float


_LONG_S = 0.1  # of a product that says enough: emulated in fp16 a large one takes minutes


def _best_seconds(run: Callable[[], object], device: torch.device) -> float:
    def done() -> None:
        run()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)

    return min(timeit.repeat(done, number=1, repeat=6)[1:])  # the first warms up


@functools.cache  # so that all rows of a benchmark are held against the same
def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """
    Measure the ceilings: a large matrix product in this precision, and a large copy.

    On a GPU, fp32 products may use TF32 where convolutions do.

    :return: best of five runs each.
    """
    gpu = device.type == 'cuda'
    sizes, length = ((8192,), 1 << 30) if gpu else ((512, 1024, 2048), 1 << 27)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        for n in sizes:
            a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
            product = _best_seconds(functools.partial(torch.matmul, a, b), device)
            if product > _LONG_S:
                break
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = _best_seconds(lambda: target.copy_(source), device)
    return Ceilings(n ** 3 / product, 2 * length / copy)


@contextmanager
def roofline_times(network: nn.Module, ceilings: Ceilings) -> Iterator[list[float]]:
    """Give a list that gets the roofline time, seconds, of each convolution that runs inside."""
    seconds: list[float] = []

    def count(module: nn.Conv2d, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        macs = output.numel() * module.weight[0].numel()
        moved = sum(t.numel() * t.element_size() for t in (inputs[0], output, module.weight))
        seconds.append(max(macs / ceilings.macs_per_s, moved / ceilings.bytes_per_s))

    handles = [module.register_forward_hook(count) for module in network.modules()
               if isinstance(module, nn.Conv2d)]
    try:
        yield seconds
    finally:
        for handle in handles:
            handle.remove()
