# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mix of SAM's trunk form on a GPU: by a kernel of ours or as one matrix product."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from ubcn_ros.network.attention import PathTrunk
from ubcn_ros.runtime.kernels.autotune import Autotuner, applies
from ubcn_ros.runtime.kernels.swap import WithReference, is_plain, load_kernel, swap

Mix = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Features, masks, weights and biases of the paths; see ``triton_path_mix.mix``."""


def one_product(features: torch.Tensor, masks: torch.Tensor, weight: torch.Tensor,
                bias: torch.Tensor) -> torch.Tensor:
    """
    Mix the paths by one product of K weighted copies of the features with all weights stacked.

    What needs no Triton: it writes the K copies, but adds nothing up outside of the product.
    Arguments and result as in ``triton_path_mix.mix``.
    """
    n, channels, height, width = features.shape
    pixels = features.permute(0, 2, 3, 1).reshape(-1, 1, channels)
    shares = masks.to(features.dtype).permute(0, 2, 3, 1).reshape(-1, masks.shape[1], 1)
    weighted = (pixels * shares).flatten(1)
    result = torch.addmm(shares[..., 0] @ bias, weighted, weight.flatten(0, 1))
    return result.view(n, height, width, channels).permute(0, 3, 1, 2)


class FusedMixTrunk(PathTrunk, WithReference):
    """
    ``PathTrunk`` for inference, equal within rounding, mixed by what is fastest.

    Takes the weights as they are now. Wherever the candidates do not apply (another device or
    type, gradients, tracing, compilation) the reference modules run.

    :param reference: the trained module, on its device and in its precision.
    :param candidates: by name.
    """

    def __init__(self, reference: PathTrunk, autotuner: Autotuner,
                 candidates: Mapping[str, Mix]) -> None:
        nn.Module.__init__(self)  # with the trained convolutions, not with new ones
        self.channels, self.trunk, self.mix = reference.channels, reference.trunk, reference.mix
        paths = reference.mix.out_channels // reference.channels
        weight = reference.mix.weight.detach().reshape(paths, self.channels, self.channels)
        self.register_buffer('weight', weight.transpose(1, 2).contiguous(), persistent=False)
        bias = reference.mix.bias.detach().reshape(paths, self.channels).clone()
        self.register_buffer('bias', bias, persistent=False)
        self._autotuner, self._candidates = autotuner, dict(candidates)
        self.train(reference.training)

    def forward(self, features: torch.Tensor, paths: torch.Tensor) -> torch.Tensor:
        """Turn (N, C, H, W) features and (N, K, H, W) path probabilities into (N, C, H, W)."""
        features = self.trunk(features)
        if not (self._autotuner.supports(features) and applies(features, self.mix)):
            return self.weigh(features, paths)
        runs = {name: lambda x, shares, mix=mix: mix(x, shares, self.weight, self.bias)
                for name, mix in self._candidates.items()}
        return self._autotuner.run(('mix', self.channels, paths.shape[1], paths.is_contiguous()),
                                 "SAM's paths", self.weigh, runs, features, paths)

    def reference_modules(self) -> tuple[nn.Module, ...]:
        """Return the convolution that mixes."""
        return (self.mix,)


def fuse_path_mixes(network: nn.Module, autotuner: Autotuner,
                    candidates: Mapping[str, Mix] | None = None) -> int:
    """
    Replace every ``PathTrunk`` of a prepared network by its fused form, in place.

    :param network: on its device and in its precision; on a GPU in half precision unless the
        autotuner is for others.
    :param candidates: by name; by default ``one_product`` and, where Triton is, the kernel of
        ``triton_path_mix``.
    :return: how many were replaced.
    """
    def fits(module: nn.Module) -> bool:
        return is_plain(module, PathTrunk) and autotuner.supports(module.mix.weight)

    if candidates is None and any(map(fits, network.modules())):
        kernel = load_kernel('triton_path_mix')
        candidates = {'one product': one_product} | ({'Triton': kernel.mix} if kernel else {})
    return swap(network, lambda module: FusedMixTrunk(module, autotuner, candidates)
                if fits(module) else None)
