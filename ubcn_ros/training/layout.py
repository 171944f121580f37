# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layout of what is trained: channels last, but where PyTorch cannot."""

from __future__ import annotations

import torch
from torch import nn

_BLOCK = 16  # channels that a kernel of oneDNN takes together; what is left over is read wrongly


def lay_out(module: nn.Module, device: torch.device, precision: str) -> None:
    """
    Lay out a module channels last.

    In bfloat16 on a CPU dilated convolutions whose channels fill no whole blocks stay channels
    first: their backward pass would read beyond its memory, which ends the process (PyTorch 2.13
    on processors with AVX-512 and bfloat16).

    :param precision: as of Fabric.
    """
    module.to(memory_format=torch.channels_last)
    if device.type != 'cpu' or precision != 'bf16-mixed':
        return
    for each in module.modules():
        if isinstance(each, nn.Conv2d) and max(each.dilation) > 1 and each.in_channels % _BLOCK:
            each.to(memory_format=torch.contiguous_format)
            each.register_forward_pre_hook(lambda _module, inputs: (inputs[0].contiguous(),))
