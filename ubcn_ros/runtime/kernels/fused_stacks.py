# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SAM's stacks on a GPU by a kernel of ours that leaves out what no mask can have reached.

The reference modules stay the reference and the way back. Which is faster depends on how many
zeros the masks have. Both are timed on random masks like those of a segmentation network that is
sure of most pixels: see ``random_masks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.attention import PathStacks
from ubcn_ros.runtime.kernels.autotune import Autotuner, applies
from ubcn_ros.runtime.kernels.fused_residual import CHANNELS
from ubcn_ros.runtime.kernels.launch import pack
from ubcn_ros.runtime.kernels.swap import WithReference, load_kernel
from ubcn_ros.runtime.sparse_attention import has_idle_cells, layers_of

_PATCHES = 6  # rows of patches in an image
_SURE = 12.0  # standard deviation of their logits
Candidate = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor,
                      Sequence[int]], torch.Tensor]
"""Features, masks, weights, biases, answers to zeros, dilations; see ``triton_stacks``."""


class FusedStacks(PathStacks, WithReference):
    """
    ``PathStacks`` for inference, equal within rounding for any masks, by what is fastest.

    Takes the weights as they are now. Wherever the candidates do not apply (another device or
    type, gradients, tracing, compilation, an image smaller than what the padding of its borders
    can reach) the reference modules run.

    :param reference: the trained module, on its device and in its precision.
    :param threshold: below which masks are zero.
    :param candidates: by name.
    """

    def __init__(self, reference: PathStacks, threshold: float, autotuner: Autotuner,
                 candidates: Mapping[str, Candidate]) -> None:
        nn.Module.__init__(self)  # with the trained stacks, not with new ones
        self.stacks = reference.stacks
        self.dilations = tuple(block.conv1.dilation[0] for block in self.stacks[0])
        for name, of in (('weights', lambda conv: pack(conv.weight)),
                         ('biases', lambda conv: conv.bias.detach())):
            sets = [torch.stack([of(conv) for conv in _convolutions(stack)])
                    for stack in self.stacks]
            self.register_buffer(name, torch.stack(sets, 1), persistent=False)
        self.register_buffer('zeros', self._zeros(), persistent=False)
        self._autotuner, self._candidates = autotuner, dict(candidates)
        self._draw_masks = partial(random_masks, threshold=threshold)
        self.train(reference.training)

    def forward(self, features: torch.Tensor, path_probabilities: torch.Tensor) -> torch.Tensor:
        """Turn (N, C, H, W) features and (N, K, H, W) path weights into (N, C, H, W)."""
        if not (self._autotuner.supports(features)
                and applies(features, *self.reference_modules())
                and min(features.shape[-2:]) >= self.zeros.shape[2]):
            return self.reference(features, path_probabilities)
        kind = ('stacks', path_probabilities.shape[1], len(self.stacks), self.dilations,
                path_probabilities.is_contiguous())
        runs = {name: partial(self.run, candidate) for name, candidate in self._candidates.items()}
        return self._autotuner.run(kind, "SAM's stacks", self.reference, runs, features,
                                   path_probabilities, draw=self._draw_masks)

    def reference(self, features: torch.Tensor, path_probabilities: torch.Tensor) -> torch.Tensor:
        """Run the reference modules; as ``forward``."""
        return super().forward(features, path_probabilities)

    def reference_modules(self) -> tuple[nn.Module, ...]:
        """Return all convolutions."""
        return tuple(conv for stack in self.stacks for conv in _convolutions(stack))

    def run(self, candidate: Candidate, features: torch.Tensor, path_probabilities: torch.Tensor
            ) -> torch.Tensor:
        """Run a candidate with these stacks' weights; as ``forward``."""
        return candidate(features, path_probabilities, self.weights, self.biases, self.zeros,
                         self.dilations)

    def _zeros(self) -> torch.Tensor:
        """Work out, in fp32, what the stacks answer to zeros; see ``triton_stacks.run_stacks``."""
        side = 4 * sum(self.dilations) + 1
        like = torch.zeros((1, self.weights.shape[-1], side, side), dtype=torch.float32,
                           device='cpu')
        layers = [torch.cat(layers_of(stack, like)) for stack in self.stacks]
        return torch.stack(layers, 1).permute(0, 1, 3, 4, 2).contiguous().to(self.weights)


def _convolutions(stack: nn.Sequential) -> list[nn.Conv2d]:
    return [conv for block in stack for conv in (block.conv1, block.conv2)]


def random_masks(like: torch.Tensor, generator: torch.Generator, threshold: float) -> torch.Tensor:
    """
    Make masks like a segmentation network's: patches with soft borders, zero under a threshold.

    For ten paths, a threshold of 0.02 and nine blocks of dilation 1 at 1024x2048, 3.0 paths have
    reached a tile of 16x16 pixels by the last block, on average.

    :param like: masks, (N, K, H, W), whose shape, layout and type the result has.
    """
    n, paths, height, width = like.shape
    logits = torch.empty((n, paths, _PATCHES, -(-_PATCHES * width // height)),
                         dtype=torch.float32, device=like.device)
    logits.normal_(0, _SURE, generator=generator)
    masks = F.interpolate(logits, (height, width), mode='bilinear').softmax(1)
    return torch.empty_like(like).copy_(torch.where(masks >= threshold, masks, 0.0))


def fuse_stacks(network: nn.Module, autotuner: Autotuner,
                candidates: Mapping[str, Candidate] | None = None) -> int:
    """
    Replace the stacks of every SAM with a path threshold and 32 channels, in place.

    Masks without a threshold, or of equal parts, have hardly a zero. Without Triton, nothing is
    replaced.

    :param network: on its device and in its precision; on a GPU in half precision unless the
        autotuner is for others.
    :param candidates: by name; by default the kernels of ``triton_stacks``.
    :return: how many were replaced.
    """
    found = [module for module in network.modules()
             if has_idle_cells(module) and module.config.channels == CHANNELS
             and autotuner.supports(module.path_mixer.stacks[0][0].conv1.weight)]
    if candidates is None and found:
        kernel = load_kernel('triton_stacks')
        candidates = kernel and {'Triton': kernel.run_stacks,
                                 'Triton, L1': partial(kernel.run_stacks, stages=1)}
    if candidates is None:
        return 0
    for sam in found:
        sam.path_mixer = FusedStacks(sam.path_mixer, sam.config.path_threshold, autotuner,
                                     candidates)
    return len(found)
