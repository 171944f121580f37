# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the kernels in Triton share on the host's side. Importing this needs no Triton."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def pack(weight: torch.Tensor) -> torch.Tensor:
    """Lay out (C out, C in, k, k) weights as the kernels read them, (k * k, C in, C out)."""
    return weight.detach().permute(2, 3, 1, 0).flatten(0, 1).contiguous()


def check_offsets(values: int) -> None:
    """
    Raise ValueError if so many values are too many for a kernel.

    They count in 32 bits, and step over the edge by some blocks before they mask that.
    """
    if values >= 2 ** 31 - 2 ** 24:
        raise ValueError(f'{values} values are too many for 32-bit offsets: process fewer '
                         'images at once')


def on(device: torch.device) -> AbstractContextManager:
    """Make a device the current one, on which Triton launches."""
    return torch.cuda.device(device) if device.type == 'cuda' else nullcontext()
