# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Convolutions with their skip and ReLU at once, on a CPU by oneDNN.

PyTorch's modules write and read all features once more for each of them. It uses oneDNN's fused
form itself, in what torch.compile makes for a CPU: this is that operator, without compiling.
"""

from __future__ import annotations

import logging

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.runtime.kernels.autotune import first_line
from ubcn_ros.runtime.kernels.fused_convolution import SameConv, fits, fuse_what_follows

_LOG = logging.getLogger(__name__)


class OneDNNConv(SameConv):
    """
    A trained convolution, to which a skip may be added, and a leaky ReLU of a given slope.

    For inference. Equal to the reference modules within rounding: these round after each of the
    operations.

    :param conv: on a CPU, in its precision; ``fused_convolution.fits`` says which.
    :param slope: 0 for ReLU, 1 for none; with a skip, one of these.
    """

    def __init__(self, conv: nn.Conv2d, slope: float = 1.0) -> None:
        super().__init__(conv)
        self._slope = slope

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Turn (N, C, H, W) and, of the result's shape, the skip into (N, C', H', W')."""
        convolve = torch.ops.mkldnn._convolution_pointwise
        arguments = (self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups)
        if skip is not None:
            return convolve.binary(x, skip, *arguments, 'add', 1.0,
                                   None if self._slope else 'relu', [], '')
        if self._slope in (0, 1):
            return convolve(x, *arguments, 'none' if self._slope else 'relu', [], '')
        return convolve(x, *arguments, 'leaky_relu', [self._slope], '')


def fuse_by_onednn(network: nn.Module) -> None:
    """
    Replace a network's convolutions and the skips and activations after them, in place.

    All stay, and the log says so, where this PyTorch or this processor cannot do it.

    :param network: prepared, on a CPU, without gradients, its batch normalisations folded.
    """
    example = next(filter(fits, network.modules()), None)
    try:
        if example is not None:
            _check(example)
            fuse_what_follows(network, lambda module, _: fits(module), OneDNNConv)
    except (AttributeError, RuntimeError, AssertionError) as error:
        _LOG.info('convolutions are not fused on this CPU: %s', first_line(error))


def _check(conv: nn.Conv2d) -> None:
    """Raise where PyTorch's operator, which is meant for its own compiler, is not as expected."""
    x = torch.linspace(-1, 1, conv.in_channels * 256, device='cpu')
    x = x.view(1, -1, 16, 16).to(conv.weight.dtype)
    y = conv(x)
    for found, expected in ((OneDNNConv(conv, 0.0)(x), y.relu()),
                            (OneDNNConv(conv, 0.5)(x), F.leaky_relu(y, 0.5)),
                            (OneDNNConv(conv, 0.0)(x, y), (y + y).relu())):
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
