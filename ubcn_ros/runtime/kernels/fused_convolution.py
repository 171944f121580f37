# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Convolutions with their bias, skip and ReLU in one kernel, on a GPU in half precision.

PyTorch's convolution on cuDNN adds the bias in a kernel of its own, and ReLU and a skip are
others: at stride 2 and 4, each takes about as long as the convolution. cuDNN can do all at once
for ReLU, a kernel of ours in Triton for what is left, too. cuDNN is also slow where the channels
of the input are not a multiple of 8, which zeros make up for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import RES
from ubcn_ros.network.segmentation import ddrnet, pspnet
from ubcn_ros.runtime.kernels.autotune import Autotuner, Run, applies
from ubcn_ros.runtime.kernels.launch import pack
from ubcn_ros.runtime.kernels.swap import WithReference, is_plain, load_kernel, swap

ALIGNED = 8
"""Channels, 16 bytes, that cuDNN's fast kernels read at once."""
LARGE = 2 ** 14
"""Pixels from which our kernel is tried: below, launches count, and compiling it takes longer."""
_BLOCKS = (pspnet.Bottleneck, ddrnet.Bottleneck, ddrnet.BasicBlock)
Fuse = Callable[[nn.Conv2d, float], nn.Module]
"""Makes of a convolution and the slope after it a module that takes a skip, too: see FusedConv."""


class SameConv(nn.Conv2d):
    """A convolution with another one's weights, to be computed in another way."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride,
                         conv.padding, conv.dilation, device='meta')
        self.weight, self.bias = conv.weight, conv.bias
        self.train(conv.training)


class FusedConv(SameConv):
    """
    A trained convolution, to which a skip may be added, and a leaky ReLU of a given slope.

    For inference: takes the weights as they are now. Equal to the reference modules within
    rounding: these round to half precision after each of the operations.

    :param conv: on its device, in its precision and layout; ``fits`` says which.
    :param slope: 0 for ReLU, 1 for none.
    :param kernel: the module ``triton_convolution``, or None to do without it.
    """

    def __init__(self, conv: nn.Conv2d, autotuner: Autotuner, slope: float = 1.0,
                 kernel: Any = None) -> None:
        super().__init__(conv)
        weight = conv.weight.detach()
        missing = -conv.in_channels % ALIGNED
        self.register_buffer('_aligned', F.pad(weight, (0, 0, 0, 0, 0, missing)).contiguous(
            memory_format=torch.channels_last) if missing else None, persistent=False)
        # cuDNN's fused form wants one
        self.register_buffer('_shift', weight.new_zeros(conv.out_channels) if conv.bias is None
                             else conv.bias.detach(), persistent=False)
        square = all(len(set(sizes)) == 1 for sizes in (conv.kernel_size, conv.stride,
                                                        conv.padding, conv.dilation))
        ours = kernel is not None and square
        self.register_buffer('_packed', pack(weight) if ours else None, persistent=False)
        self._convolve = kernel.convolve if ours else None
        self._slope, self._autotuner = slope, autotuner

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, C, H, W) and, of the result's shape, the skip into (N, C', H', W')."""
        if not (self._autotuner.supports(x) and applies(x, self)):
            return self.reference(x, skip)
        candidates = self._candidates(x)
        if not candidates:
            return self.reference(x, skip)
        skips = () if skip is None else (skip,)
        kind = ('convolution', self.in_channels, self.out_channels, self.kernel_size, self.stride,
                self.padding, self.dilation, self._slope, len(skips))
        operation = (f'convolution {self.in_channels} to {self.out_channels}, '
                 f'{self.kernel_size[0]}x{self.kernel_size[1]}, stride {self.stride[0]}'
                 + ', skip' * len(skips) + f', slope {self._slope}' * (self._slope != 1))
        return self._autotuner.run(kind, operation, self.reference, candidates, x, *skips)

    def reference(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Run the reference modules; as ``forward``."""
        return self._separately(self.weight, x, skip)

    def _candidates(self, x: torch.Tensor) -> dict[str, Run]:
        """Return the other ways to compute it for an ``x`` of that size, by name."""
        ways: dict[str, Run] = {'cuDNN': self._at_once} if self._slope == 0 else {}
        candidates: dict[str, Run] = {name: partial(way, self.weight)
                                      for name, way in ways.items()}
        if self._aligned is not None:
            candidates |= {f'{name}, channels filled up': partial(self._filled_up, way)
                           for name, way in {'PyTorch': self._separately, **ways}.items()}
        if self._packed is not None and x.numel() // self.in_channels >= LARGE:
            candidates |= {'Triton': partial(self._ours, 3), 'Triton, L1': partial(self._ours, 1)}
        return candidates

    def _separately(self, weight: torch.Tensor, x: torch.Tensor,
                    skip: torch.Tensor | None = None) -> torch.Tensor:
        y = self._conv_forward(x, weight, self.bias)
        if skip is not None:
            y = y + skip
        if self._slope == 1:
            return y
        inplace = not y.requires_grad
        return (F.leaky_relu(y, self._slope, inplace) if self._slope else F.relu(y, inplace))

    def _at_once(self, weight: torch.Tensor, x: torch.Tensor, skip: torch.Tensor | None = None
                 ) -> torch.Tensor:
        sizes = (self.stride, self.padding, self.dilation, self.groups)
        if skip is None:
            return torch.cudnn_convolution_relu(x, weight, self._shift, *sizes)
        return torch.cudnn_convolution_add_relu(x, weight, skip, 1.0, self._shift, *sizes)

    def _ours(self, stages: int, x: torch.Tensor, skip: torch.Tensor | None = None
              ) -> torch.Tensor:
        return self._convolve(x, self._packed, self._shift, skip, self._slope, self.stride[0],
                              self.padding[0], self.dilation[0], stages)

    def _filled_up(self, way: Run, x: torch.Tensor, *skip: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = x.shape
        filled = torch.empty((n, self._aligned.shape[1], height, width), dtype=x.dtype,
                             device=x.device, memory_format=torch.channels_last)
        filled[:, :channels] = x
        filled[:, channels:] = 0
        return way(self._aligned, filled, *skip)


class FusedConvRES(RES):
    """A trained RES whose convolutions are fused with their ReLU; the skip comes after these."""

    def __init__(self, block: RES, fused: Fuse) -> None:
        nn.Module.__init__(self)  # with the block's convolutions, not with new ones
        self.conv1, self.conv2 = fused(block.conv1, 0.0), fused(block.conv2, 0.0)
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.conv1(x))


class FusedBlock(nn.Module):
    """
    A residual block of a segmentation network, its last convolution fused with what follows.

    :param block: with ``layers``, the last of which begins with the convolution, and ``skip``.
    :param slope: 0 if the block ends in ReLU, 1 if not.
    """

    def __init__(self, block: nn.Module, slope: float, fused: Fuse) -> None:
        super().__init__()
        self.layers, self.skip = block.layers, block.skip
        self.layers[-1][0] = fused(block.layers[-1][0], slope)
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in list(self.layers)[:-1]:
            y = layer(y)
        return self.layers[-1][0](y, self.skip(x))


def fits(module: nn.Module) -> bool:
    """Return whether a module is a convolution that can be fused."""
    return (is_plain(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == 'zeros'
            and not isinstance(module.padding, str))


def fuse_convolutions(network: nn.Module, autotuner: Autotuner, kernel: Any = None) -> int:
    """
    Replace a prepared network's convolutions where another way may be faster, in place.

    Without Triton, those are the ones before a ReLU, the last ones of residual blocks with one,
    and those of a number of channels that is not a multiple of 8.

    :param network: its batch normalisations folded, on its device and in its precision; on a GPU
        in half precision unless the autotuner is for others. The modules of a
        ``WithReference`` stay: call this after the other swaps.
    :param kernel: by default the module ``triton_convolution`` where Triton is.
    :return: how many convolutions were replaced.
    """
    kernel = kernel or load_kernel('triton_convolution')
    before = _count(network)

    def takes(module: nn.Module, slope: float) -> bool:
        return fits(module) and autotuner.supports(module.weight) and bool(
            slope == 0 or module.in_channels % ALIGNED or kernel is not None)

    def fused(conv: nn.Conv2d, slope: float) -> FusedConv:
        return FusedConv(conv, autotuner, slope, kernel)

    fuse_what_follows(network, takes, fused)
    kept = {id(part) for module in network.modules() if isinstance(module, WithReference)
            for part in module.reference_modules()}
    swap(network, lambda module: fused(module, 1.0)
         if id(module) not in kept and takes(module, 1.0) else None)
    return _count(network) - before


def fuse_what_follows(network: nn.Module, takes: Callable[[nn.Module, float], bool], fused: Fuse
                      ) -> None:
    """
    Replace a prepared network's convolutions and the skips and activations after them, in place.

    :param takes: whether a module is a convolution to be replaced, with the slope after it.
    :param fused: makes what replaces it.
    """
    def block(module: nn.Module) -> nn.Module | None:
        if is_plain(module, RES) and takes(module.conv1, 0.0) and takes(module.conv2, 0.0):
            return FusedConvRES(module, fused)
        slope = _closing(module)
        if slope is not None and takes(module.layers[-1][0], slope):
            return FusedBlock(module, slope, fused)
        return None

    swap(network, block)
    for sequence in list(network.modules()):
        if type(sequence) is not nn.Sequential:
            continue
        for i, child in enumerate(sequence):
            after = next((j for j in range(i + 1, len(sequence)) if not _idle(sequence[j])), None)
            slope = _slope(sequence[after]) if after is not None else 1.0
            if slope != 1 and takes(child, slope):
                sequence[i], sequence[after] = fused(child, slope), nn.Identity()


def _count(network: nn.Module) -> int:
    return sum(isinstance(module, FusedConv) for module in network.modules())


def _slope(module: nn.Module) -> float:
    """Return what an activation multiplies negative values by; 1 for all that is none."""
    return (0.0 if is_plain(module, nn.ReLU) else
            module.negative_slope if is_plain(module, nn.LeakyReLU) else 1.0)


def _closing(block: nn.Module) -> float | None:
    """Return the slope at the end of a block whose last layer is a convolution, or None."""
    if not any(is_plain(block, kind) for kind in _BLOCKS):
        return None
    last = block.layers[-1]
    if not (is_plain(block.layers, nn.Sequential) and is_plain(last, nn.Sequential)
            and fits(last[0]) and all(map(_idle, last[1:]))):
        return None
    return float(type(block) is ddrnet.Bottleneck or not getattr(block, 'relu', True))


def _idle(module: nn.Module) -> bool:
    return is_plain(module, nn.Identity)
