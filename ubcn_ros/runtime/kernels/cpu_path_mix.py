# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mix of SAM's trunk form as one matrix product per strip of pixels, for a CPU's caches."""

from __future__ import annotations

import torch
from torch import nn

from ubcn_ros.network.attention import PathTrunk
from ubcn_ros.runtime.kernels.swap import is_plain, swap

STRIP_VALUES = 2 ** 20
"""Weighted features at a time: what a core's cache holds."""


class StripMixTrunk(nn.Module):
    """
    ``PathTrunk`` for inference on a CPU, equal within rounding.

    sum_k p_k (W_k f + b_k) is one product of the K weighted copies of f with all W_k stacked. The
    reference module writes K full-size results and reads them again; here they live for one strip.

    :param reference: whose weights are used, in the layout and precision they have now.
    :param strip_values: how many weighted features a strip has at most.
    """

    def __init__(self, reference: PathTrunk, strip_values: int) -> None:
        super().__init__()
        self.trunk = reference.trunk
        self._strip_values = strip_values
        channels = reference.channels
        paths = reference.mix.out_channels // channels
        weight = reference.mix.weight.detach().reshape(paths, channels, channels)
        self.register_buffer('weight', weight.transpose(1, 2).reshape(paths * channels, channels)
                             .contiguous())
        self.register_buffer('bias', reference.mix.bias.detach().reshape(paths, channels).clone())

    def forward(self, features: torch.Tensor, paths: torch.Tensor) -> torch.Tensor:
        """Turn (N, C, H, W) features and (N, K, H, W) path probabilities into (N, C, H, W)."""
        features = self.trunk(features)
        n, channels, height, width = features.shape
        pixels = features.permute(0, 2, 3, 1).reshape(-1, channels)
        shares = paths.to(features.dtype).permute(0, 2, 3, 1).reshape(-1, paths.shape[1])
        result = torch.empty_like(pixels)
        strip = max(1, self._strip_values // len(self.weight))
        for start in range(0, len(pixels), strip):
            part = slice(start, start + strip)
            weighted = (pixels[part, None] * shares[part, :, None]).flatten(1)
            torch.addmm(shares[part] @ self.bias, weighted, self.weight, out=result[part])
        return result.view(n, height, width, channels).permute(0, 3, 1, 2)


def mix_in_strips(network: nn.Module, strip_values: int = STRIP_VALUES) -> int:
    """
    Replace every ``PathTrunk`` by its fast form, in place.

    :param network: in evaluation mode, in its final layout and precision.
    :param strip_values: how many weighted features a strip has at most.
    :return: how many were replaced.
    """
    return swap(network, lambda module: StripMixTrunk(module, strip_values)
                if is_plain(module, PathTrunk) else None)
