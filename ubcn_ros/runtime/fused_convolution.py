# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Convolutions with their bias, skip and ReLU in one kernel, on a GPU in half precision.

PyTorch's convolution on cuDNN adds the bias in a kernel of its own, and ReLU and a skip are
others: at stride 2 and 4, each takes about as long as the convolution. cuDNN can do all at once.
It is also slow where the channels of the input are no multiple of 8, which zeros make up for.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import RES
from ubcn_ros.network.segmentation import ddrnet, pspnet
from ubcn_ros.runtime.choice import Choices, Run, applies

ALIGNED = 8
"""Channels, 16 bytes, that cuDNN's fast kernels read at once."""


class FusedConv(nn.Conv2d):
    """
    A trained convolution, plus a skip where one is given, and with ``relu`` that.

    For inference: takes the weights as they are now. Equal to the plain modules within rounding:
    these round to half precision after each of the operations.

    :param conv: on its device, in its precision and layout; ``fits`` says which.
    :param relu: whether negative results become zero.
    """

    def __init__(self, conv: nn.Conv2d, choices: Choices, relu: bool) -> None:
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride,
                         conv.padding, conv.dilation, device='meta')
        self.weight, self.bias = conv.weight, conv.bias
        weight = conv.weight.detach()
        missing = -conv.in_channels % ALIGNED
        self.register_buffer('_aligned', F.pad(weight, (0, 0, 0, 0, 0, missing)).contiguous(
            memory_format=torch.channels_last) if missing else None, persistent=False)
        # cuDNN's fused form wants one
        self.register_buffer('_shift', weight.new_zeros(conv.out_channels) if conv.bias is None
                             else conv.bias.detach(), persistent=False)
        self._relu, self._choices = relu, choices
        self.train(conv.training)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C, H, W) and, of the result's shape, the skip to (N, C', H', W')."""
        forms = self._forms()
        if not (forms and self._choices.takes(x) and applies(x, self)):
            return self.plain(x, skip)
        skips = () if skip is None else (skip,)
        kind = ('convolution', self.in_channels, self.out_channels, self.kernel_size, self.stride,
                self.padding, self.dilation, self._relu, len(skips))
        title = (f'convolution {self.in_channels} to {self.out_channels}, '
                 f'{self.kernel_size[0]}x{self.kernel_size[1]}, stride {self.stride[0]}'
                 + ', skip' * len(skips) + ', ReLU' * self._relu)
        return self._choices.run(kind, title, self.plain, forms, x, *skips)

    def plain(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Run the plain modules; as ``forward``."""
        return self._separately(self.weight, x, skip)

    def _forms(self) -> dict[str, Run]:
        """Return the other ways to compute it, by name."""
        ways: dict[str, Run] = {'cuDNN': self._at_once} if self._relu else {}
        forms: dict[str, Run] = {name: partial(way, self.weight) for name, way in ways.items()}
        if self._aligned is not None:
            forms |= {f'{name}, channels filled up': partial(self._filled_up, way)
                      for name, way in {'PyTorch': self._separately, **ways}.items()}
        return forms

    def _separately(self, weight: torch.Tensor, x: torch.Tensor,
                    skip: torch.Tensor | None = None) -> torch.Tensor:
        y = self._conv_forward(x, weight, self.bias)
        if skip is not None:
            y = y + skip
        return F.relu(y, inplace=not y.requires_grad) if self._relu else y

    def _at_once(self, weight: torch.Tensor, x: torch.Tensor, skip: torch.Tensor | None = None
                 ) -> torch.Tensor:
        sizes = (self.stride, self.padding, self.dilation, self.groups)
        if skip is None:
            return torch.cudnn_convolution_relu(x, weight, self._shift, *sizes)
        return torch.cudnn_convolution_add_relu(x, weight, skip, 1.0, self._shift, *sizes)

    def _filled_up(self, way: Run, x: torch.Tensor, *skip: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = x.shape
        filled = torch.empty((n, self._aligned.shape[1], height, width), dtype=x.dtype,
                             device=x.device, memory_format=torch.channels_last)
        filled[:, :channels] = x
        filled[:, channels:] = 0
        return way(self._aligned, filled, *skip)


class FusedRES(RES):
    """A trained RES whose convolutions are fused with their ReLU; the skip comes after these."""

    def __init__(self, block: RES, choices: Choices) -> None:
        nn.Module.__init__(self)  # with the block's convolutions, not with new ones
        self.conv1, self.conv2 = (FusedConv(conv, choices, True)
                                  for conv in (block.conv1, block.conv2))
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.conv1(x))


class FusedBlock(nn.Module):
    """
    A residual block of a segmentation network, its last convolution fused with skip and ReLU.

    :param block: with ``layers``, the last of which begins with the convolution, and ``skip``.
    """

    def __init__(self, block: nn.Module, choices: Choices, relu: bool) -> None:
        super().__init__()
        self.layers, self.skip = block.layers, block.skip
        self.layers[-1][0] = FusedConv(block.layers[-1][0], choices, relu)
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in list(self.layers)[:-1]:
            y = layer(y)
        return self.layers[-1][0](y, self.skip(x))


def fits(module: nn.Module) -> bool:
    """Whether a module is a convolution that can be fused."""
    return (type(module) is nn.Conv2d and module.groups == 1 and module.padding_mode == 'zeros'
            and not isinstance(module.padding, str))


def fuse_convolutions(network: nn.Module, choices: Choices | None = None) -> int:
    """
    Replace a prepared network's convolutions where another form may be faster, in place.

    Those are the ones before a ReLU, the last ones of residual blocks with one, and those of a
    number of channels that is no multiple of 8.

    :param network: its batch normalisations folded, on its device and in its precision; on a GPU
        in half precision unless the choices are for others.
    :return: how many convolutions were replaced.
    """
    choices = choices or Choices()
    before = sum(isinstance(module, FusedConv) for module in network.modules())

    def taken(module: nn.Module) -> bool:
        return fits(module) and choices.takes(module.weight)

    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is RES and taken(child.conv1) and taken(child.conv2):
                setattr(parent, name, FusedRES(child, choices))
            elif _ends_in_relu(child) and taken(child.layers[-1][0]):
                setattr(parent, name, FusedBlock(child, choices, True))
    for part in list(network.modules()):
        if isinstance(part, nn.Sequential):
            for i, child in enumerate(part):
                after = _next(part, i)
                if taken(child) and after is not None and type(part[after]) is nn.ReLU:
                    part[i], part[after] = FusedConv(child, choices, True), nn.Identity()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if taken(child) and child.in_channels % ALIGNED:
                setattr(parent, name, FusedConv(child, choices, False))
    return sum(isinstance(module, FusedConv) for module in network.modules()) - before


def _ends_in_relu(block: nn.Module) -> bool:
    """Whether it is relu(layers + skip), the last layer a convolution and nothing more."""
    closed = type(block) is pspnet.Bottleneck or (type(block) is ddrnet.BasicBlock and block.relu)
    return (closed and isinstance(block.layers[-1], nn.Sequential)
            and _next(block.layers[-1], 0) is None)


def _next(part: nn.Sequential, i: int) -> int | None:
    """Index of what comes after the i-th module and does something."""
    return next((j for j in range(i + 1, len(part)) if type(part[j]) is not nn.Identity), None)
