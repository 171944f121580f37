# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RES of a prepared network by Triton's kernels, where they are there, right, and faster.

The reference module stays the reference and the way back: a candidate is used only after it agreed
with it on random features and took less time, on the very device, at the size of the first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from ubcn_ros.network.blocks import RES
from ubcn_ros.runtime.kernels.autotune import Autotuner, applies
from ubcn_ros.runtime.kernels.launch import pack
from ubcn_ros.runtime.kernels.swap import WithReference, is_plain, load_kernel, swap

CHANNELS = 32
"""Channels of the blocks that are replaced: for others the kernels were not measured."""
Candidate = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int],
                     torch.Tensor]
"""Features, packed weights and bias of both convolutions, dilation; see ``triton_residual``."""


class FusedRES(RES, WithReference):
    """
    A trained RES, (N, 32, H, W) to the same, by what is fastest.

    For inference: takes the weights as they are now. Wherever the candidates do not apply (another
    device or type, gradients, tracing, compilation) the reference modules run.

    :param candidates: by name.
    """

    def __init__(self, block: RES, autotuner: Autotuner,
                 candidates: Mapping[str, Candidate]) -> None:
        nn.Module.__init__(self)  # with the block's convolutions, not with new ones
        self.conv1, self.conv2 = block.conv1, block.conv2
        self.register_buffer('packed1', pack(block.conv1.weight), persistent=False)
        self.register_buffer('packed2', pack(block.conv2.weight), persistent=False)
        self._autotuner, self._candidates = autotuner, dict(candidates)
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not (self._autotuner.supports(x) and applies(x, self.conv1, self.conv2)):
            return self.reference(x)
        dilation = self.conv1.dilation[0]
        runs = {name: partial(self.run, candidate) for name, candidate in self._candidates.items()}
        return self._autotuner.run(('RES', dilation), f'RES, dilation {dilation}', self.reference,
                                   runs, x)

    def reference(self, x: torch.Tensor) -> torch.Tensor:
        """Run the reference modules."""
        return super().forward(x)

    def reference_modules(self) -> tuple[nn.Module, ...]:
        """Return both convolutions."""
        return self.conv1, self.conv2

    def run(self, candidate: Candidate, x: torch.Tensor) -> torch.Tensor:
        """Run a candidate with this block's weights."""
        return candidate(x, self.packed1, self.conv1.bias, self.packed2, self.conv2.bias,
                    self.conv1.dilation[0])


def fuse_residual_blocks(network: nn.Module, autotuner: Autotuner,
                         candidates: Mapping[str, Candidate] | None = None) -> int:
    """
    Replace every RES of 32 channels in a prepared network by a FusedRES, in place.

    Without Triton, nothing is replaced.

    :param network: on its device and in its precision; on a GPU in half precision unless the
        autotuner is for others.
    :param candidates: by name; by default the kernels of ``triton_residual``.
    :return: how many were replaced.
    """
    def fits(module: nn.Module) -> bool:
        return (is_plain(module, RES) and module.conv1.in_channels == CHANNELS
                and autotuner.supports(module.conv1.weight))

    if candidates is None and any(map(fits, network.modules())):
        kernel = load_kernel('triton_residual')
        candidates = kernel and {'one kernel': kernel.one_kernel,
                                 'two kernels': kernel.two_kernels}
    if candidates is None:
        return 0
    return swap(network, lambda module: FusedRES(module, autotuner, candidates)
                if fits(module) else None)
