# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM, the semantic attentive module (the paper's table 3), and its compact trunk form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ubcn_ros.network.blocks import (
    cbr,
    check_stack,
    check_switches,
    conv3x3,
    cr,
    init_zero,
    residual_stack,
    resize,
    shuffle,
    unshuffle,
)

_MOST_PRODUCTS = 2 ** 24
"""Largest product of stacks, blocks and squared channels: of each come 18 weights, 1.1 GiB."""


@dataclass(frozen=True)
class SAMConfig:
    """
    Size and form of a SAM; the defaults are the published table 3 with shared weights.

    :raises ValueError: an unknown form, a size that no network has, or a threshold outside 0..1.
    """

    # features between the first and the last convolution
    channels: int = 32
    # RES in every path
    blocks: int = 9
    # side of the squares of pixels that are worked on as one, in 3 * side**2 channels
    unshuffle: int = 1
    # of the RES, which cycle through them
    dilations: tuple[int, ...] = (1,)
    # 'stacks' runs the RES once per path, on the features times the path's mask; 'trunk' runs them
    # once and lets each path weigh the result by a 1x1 convolution of its own, a K-th of the work
    form: str = 'stacks'
    # of stacks: one set of weights for all paths, or one per path. As tabulated these are 0.72 and
    # 6.43 MiB; table 4's 0.40 fits one set of weights and one convolution in each RES
    share_paths: bool = True
    # masks of 1 / K instead of the semantic ones: the ablation that shows what these are worth
    uniform_masks: bool = False
    # probabilities under it, resized to the features, are zero, in training as in inference, so
    # that a path has nothing to do where its class is not; 0 (off, as in the paper) to below
    # 1 / K, so that a pixel's likeliest path stays. What stays is not scaled up to a sum of 1, so
    # that no probability jumps where another passes the threshold; at most K - 1 thresholds go
    path_threshold: float = 0.0

    def __post_init__(self) -> None:
        check_stack(self)
        check_switches(share_paths=self.share_paths, uniform_masks=self.uniform_masks)
        if self.form not in ('stacks', 'trunk'):
            raise ValueError(f'SAM form {self.form!r} is unknown: choose one of stacks, trunk')
        if not 0 <= self.path_threshold < 1:  # so that NaN is refused, too
            raise ValueError(f'SAM path_threshold {self.path_threshold} is not a probability: '
                             'choose one from 0 (off) to below 1 / paths')

    @property
    def lifts(self) -> bool:
        """Whether SAM lifts the veil of the rainy image itself."""
        return False

    @property
    def has_zeros(self) -> bool:
        """Whether masks have zeros, by a threshold, at which stacks have nothing to do."""
        return self.form == 'stacks' and self.path_threshold > 0 and not self.uniform_masks


class PathStacks(nn.Module):
    """DOT, 9 x RES per path and Add of table 3."""

    def __init__(self, config: SAMConfig, num_paths: int) -> None:
        super().__init__()
        count = 1 if config.share_paths else num_paths
        if count * config.blocks * config.channels ** 2 > _MOST_PRODUCTS:
            raise ValueError(f'SAM has {count} stacks of {config.blocks} blocks with '
                             f'{config.channels} channels, which is too large: choose less of '
                             'one, or share_paths')
        self.stacks = nn.ModuleList(
            residual_stack(config.channels, config.blocks, config.dilations)
            for _ in range(count))

    def forward(self, features: torch.Tensor, path_probabilities: torch.Tensor
                ) -> torch.Tensor:
        """
        Run the stacks and add their results.

        :param features: (N, C, H, W).
        :param path_probabilities: (N, K, H, W).
        :return: (N, C, H, W).
        """
        total = torch.zeros_like(features)
        for k in range(path_probabilities.shape[1]):
            stack = self.stacks[k if len(self.stacks) > 1 else 0]
            total = total + stack(features * path_probabilities[:, k:k + 1])
        return total


class PathTrunk(nn.Module):
    """
    One stack of RES, then a 1x1 convolution per path, weighted by the paths' probabilities.

    sum_k p_k * (W_k f + b_k), with every W_k the identity at the start: before training, the
    semantics change nothing.
    """

    def __init__(self, config: SAMConfig, num_paths: int) -> None:
        super().__init__()
        self.channels = config.channels
        self.trunk = residual_stack(config.channels, config.blocks, config.dilations)
        self.mix = nn.Conv2d(config.channels, config.channels * num_paths, 1)
        identity = torch.eye(config.channels)[:, :, None, None]
        with torch.no_grad():
            self.mix.weight.copy_(identity.repeat(num_paths, 1, 1, 1))
        nn.init.zeros_(self.mix.bias)

    def forward(self, features: torch.Tensor, path_probabilities: torch.Tensor
                ) -> torch.Tensor:
        """
        Run the trunk and mix its result.

        :param features: (N, C, H, W).
        :param path_probabilities: (N, K, H, W).
        :return: (N, C, H, W).
        """
        return self.weigh(self.trunk(features), path_probabilities)

    def weigh(self, features: torch.Tensor, path_probabilities: torch.Tensor) -> torch.Tensor:
        """Mix what the trunk made of the features; shapes as in ``forward``."""
        mixed = self.mix(features).unflatten(1, (path_probabilities.shape[1], self.channels))
        return (mixed * path_probabilities[:, :, None]).sum(1)


class SAM(nn.Module):
    """
    Rainy image, previous image and path probabilities to a better image.

    Table 3, all kernels 3x3, stride 1, padding 1:

    ======  ========  ==========================================
    layer   channels
    ======  ========  ==========================================
    CR      6 to 32   of both images: convolution, ReLU
    CR      32 to 32
    DOT     32        times every path's probability: K paths
    RES     32 to 32  9 times in every path: two CR and a skip
    Add     32        over the paths
    CBR     32 to 32  convolution, normalisation, ReLU
    Conv    32 to 3   starts at zero: SAM as the rainy image
    ======  ========  ==========================================

    :param config: size and form.
    :param num_paths: K, the number of semantic paths.
    :raises ValueError: the configuration's path_threshold is 1 / K or more.
    """

    resize = staticmethod(resize)

    def __init__(self, config: SAMConfig = SAMConfig(), num_paths: int = 10  # noqa: B008
                 ) -> None:
        super().__init__()
        if not config.path_threshold < 1 / num_paths:
            raise ValueError(f'SAM path_threshold {config.path_threshold} is too high for '
                             f'{num_paths} paths: choose one below 1 / {num_paths}, else pixels '
                             'may be left without a path')
        self.config = config
        self.factor = config.unshuffle
        image_channels = 3 * config.unshuffle ** 2
        self.head = nn.Sequential(cr(2 * image_channels, config.channels),
                                  cr(config.channels, config.channels))
        self.path_mixer = (PathTrunk if config.form == 'trunk' else PathStacks)(config, num_paths)
        self.tail = nn.Sequential(cbr(config.channels, config.channels),
                                  conv3x3(config.channels, image_channels))
        init_zero(self.tail[1])

    def forward(self, image: torch.Tensor, previous: torch.Tensor,
                path_probabilities: torch.Tensor) -> torch.Tensor:
        """
        Restore the image again.

        :param image: O, (N, 3, H, W) RGB 0..1, the rainy input.
        :param previous: B of the step before, (N, 3, H, W).
        :param path_probabilities: (N, K, h, w), summing to 1 over K; any size, they are resized
            bilinearly to the size of the features.
        :return: (N, 3, H, W), not clamped; like IDM, the images keep their precision.
        """
        dtype = self.tail[1].weight.dtype
        inputs = [unshuffle(x, self.factor).to(dtype) for x in (image, previous)]
        x = self.head(torch.cat(inputs, 1))  # CR 6 to 32, CR 32 to 32
        masks = self.masks(path_probabilities, x.shape[-2:])
        x = self.path_mixer(x, masks)  # DOT, 9 x RES 32 in every path, Add
        x = self.tail(x)  # CBR 32 to 32, Conv 32 to 3
        return image + shuffle(x, self.factor, image.shape[-2:])

    def masks(self, path_probabilities: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """
        Work out the weights of the paths at the size of the features.

        :param path_probabilities: (N, K, h, w).
        :param size: (H, W) of the features.
        :return: (N, K, H, W): resized, then exactly zero where under ``path_threshold``.
        """
        if self.config.uniform_masks:
            path_probabilities = torch.full_like(path_probabilities,
                                                 1.0 / path_probabilities.shape[1])
        masks = self.resize(path_probabilities, size)
        if self.config.path_threshold > 0:
            masks = torch.where(masks >= self.config.path_threshold, masks, 0.0)
        return masks
