# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mix of SAM's trunk form on a GPU: by a kernel of ours or as one matrix product."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import torch
from torch import nn

from ubcn_ros.network.attention import PathTrunk
from ubcn_ros.runtime.kernels.autotune import SHARED, Autotuner, applies, reason

Mix = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Features, masks, weights and biases of the paths; see ``triton_path_mix.mix``."""
_LOG = logging.getLogger(__name__)


def one_product(features: torch.Tensor, masks: torch.Tensor, weight: torch.Tensor,
                bias: torch.Tensor) -> torch.Tensor:
    """
    Mix the paths by one product of K weighted copies of the features with all weights stacked.

    What needs no Triton: it writes the K copies, but adds nothing up outside of the product.
    Arguments and result as of ``triton_path_mix.mix``.
    """
    n, channels, height, width = features.shape
    pixels = features.permute(0, 2, 3, 1).reshape(-1, 1, channels)
    shares = masks.to(features.dtype).permute(0, 2, 3, 1).reshape(-1, masks.shape[1], 1)
    weighted = (pixels * shares).flatten(1)
    result = torch.addmm(shares[..., 0] @ bias, weighted, weight.flatten(0, 1))
    return result.view(n, height, width, channels).permute(0, 3, 1, 2)


def mixes() -> dict[str, Mix]:
    """Return the ways to mix, by name; without Triton, the log says why one is missing."""
    found: dict[str, Mix] = {'one product': one_product}
    try:
        from ubcn_ros.runtime.kernels.triton_path_mix import mix
        found['Triton'] = mix
    except Exception as error:  # a broken Triton raises more than ImportError
        _LOG.warning("SAM's paths without Triton: %s", reason(error))
    return found


class FusedMixTrunk(PathTrunk):
    """
    ``PathTrunk`` for inference, equal within rounding, mixed by what is fastest.

    Takes the weights as they are now. Wherever the candidates do not apply (another device or
    type, gradients, tracing, compilation) the plain modules run.

    :param reference: the trained module, on its device and in its precision.
    :param candidates: by name, as of ``mixes``.
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
        """(N, C, H, W) features and (N, K, H, W) path probabilities to (N, C, H, W)."""
        features = self.trunk(features)
        if not (self._autotuner.supports(features) and applies(features, self.mix)):
            return self.weigh(features, paths)
        runs = {name: lambda x, shares, mix=mix: mix(x, shares, self.weight, self.bias)
                for name, mix in self._candidates.items()}
        return self._autotuner.run(('mix', self.channels, paths.shape[1], paths.is_contiguous()),
                                 "SAM's paths", self.weigh, runs, features, paths)


def fuse_path_mixes(network: nn.Module, autotuner: Autotuner | None = None,
                    candidates: Mapping[str, Mix] | None = None) -> int:
    """
    Replace every ``PathTrunk`` of a prepared network by its fused form, in place.

    :param network: on its device and in its precision; on a GPU in half precision unless the
        autotuner is for others.
    :param candidates: ``mixes`` by default.
    :return: how many were replaced.
    """
    autotuner = autotuner or SHARED
    found = [(parent, name, child) for parent in network.modules()
             for name, child in parent.named_children()
             if type(child) is PathTrunk and autotuner.supports(child.mix.weight)]
    if found:
        candidates = mixes() if candidates is None else candidates
    for parent, name, child in found:
        setattr(parent, name, FusedMixTrunk(child, autotuner, candidates))
    return len(found)
