# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM, the semantic attentive module (the paper's table 3), and its compact trunk form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ubcn_ros.network.blocks import (
    cbr,
    check_sizes,
    conv3x3,
    cr,
    residual_stack,
    resize,
    shuffle,
    unshuffle,
)
from ubcn_ros.network.veil_field import THUMBNAIL, VeilField, coarse, thumbnail


@dataclass(frozen=True)
class SAMConfig:
    """
    Size and form of a SAM; the defaults are the published table 3 with shared weights.

    :raises ValueError: an unknown form or residual, or a threshold or share outside 0..1.
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
    # of stacks: one set of weights for all paths, as table 4's 0.40 MB says, or one per path
    share_paths: bool = True
    # what the prediction is added to: the rainy 'input' or the 'previous' step's image
    residual: str = 'input'
    # masks of 1 / K instead of the semantic ones: the ablation that shows what these are worth
    uniform_masks: bool = False
    # probabilities under it are zero at the working size, in training as in inference, so that a
    # path has nothing to do where its class is not; 0 (off, the paper's definition) to below
    # 1 / K, so that a pixel's likeliest path stays. What stays is not scaled up to a sum of 1, so
    # that no probability jumps where another passes the threshold; at most K - 1 thresholds go
    path_threshold: float = 0.0
    # width of a VeilField in front, which sees the paths, too; 0 for none
    veil_channels: int = 0
    # channels of the rainy image's texture that the veil field sees
    veil_texture: int = 0
    # further RES at each level of the veil field
    veil_depth: int = 0
    # the veil field sees how much of each path lies below a place in its column: a house is as far
    # away as the ground that it stands on
    veil_below: bool = False
    # share of the coarse difference to the previous image (means over 24x32 cells of the frame)
    # that is taken back, 0 (off, the paper's definition) to below 1: what is coarse is the veil,
    # of which two estimates are better than one
    coarse_from_previous: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self)
        for name, known in (('form', ('stacks', 'trunk')), ('residual', ('input', 'previous'))):
            if getattr(self, name) not in known:
                raise ValueError(f'SAM {name} {getattr(self, name)!r} is unknown: choose one of '
                                 f'{", ".join(known)}')
        if not 0 <= self.path_threshold < 1:  # so that NaN is refused, too
            raise ValueError(f'SAM path_threshold {self.path_threshold} is not a probability: '
                             'choose one from 0 (off) to below 1 / paths')
        if not 0 <= self.coarse_from_previous < 1:
            raise ValueError(f'SAM coarse_from_previous {self.coarse_from_previous} is not a '
                             'share: choose one from 0 (off) to below 1')


class PathStacks(nn.Module):
    """DOT, 9 x RES per path and Add of table 3."""

    def __init__(self, config: SAMConfig, num_paths: int) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            residual_stack(config.channels, config.blocks, config.dilations)
            for _ in range(1 if config.share_paths else num_paths))

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
        """Mix what the trunk made of the features; shapes as of ``forward``."""
        mixed = self.mix(features).unflatten(1, (path_probabilities.shape[1], self.channels))
        return (mixed * path_probabilities[:, :, None]).sum(1)


class SAM(nn.Module):
    """
    Rainy image, previous image and path probabilities to a better image.

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
        nn.init.zeros_(self.tail[1].weight)
        nn.init.zeros_(self.tail[1].bias)
        seen = 6 + (2 if config.veil_below else 1) * num_paths
        self.veil = (VeilField(seen, config.veil_channels, config.channels, config.unshuffle,
                               config.veil_texture, config.veil_depth)
                     if config.veil_channels else None)

    def forward(self, image: torch.Tensor, previous: torch.Tensor,
                path_probabilities: torch.Tensor) -> torch.Tensor:
        """
        Restore the image again.

        :param image: O, (N, 3, H, W) RGB 0..1, the rainy input.
        :param previous: B of the step before, (N, 3, H, W).
        :param path_probabilities: (N, K, h, w), summing to 1 over K; any size, they are resized
            bilinearly to the module's working size.
        :return: (N, 3, H, W), not clamped; like IDM, the images keep their precision.
        """
        base = 0 if self.config.residual == 'input' else 1
        dtype = self.tail[1].weight.dtype
        inputs = [unshuffle(x, self.factor).to(dtype) for x in (image, previous)]
        if self.veil is None:
            residual = self._residual(inputs, path_probabilities)
        else:
            seen = self._seen_by_veil(image, previous, path_probabilities).to(dtype)
            change, hints = self.veil(seen, inputs[base], inputs[0])
            inputs[base] = inputs[base] + change
            residual = change + self._residual(inputs, path_probabilities, hints)
        restored = (image, previous)[base] + shuffle(residual, self.factor, image.shape[-2:])
        if self.config.coarse_from_previous:
            difference = coarse(previous - restored) * self.config.coarse_from_previous
            restored = restored + difference
        return restored

    def _residual(self, inputs: list[torch.Tensor], path_probabilities: torch.Tensor,
                  hints: torch.Tensor | None = None) -> torch.Tensor:
        """
        Predict the residual: table 3, row by row.

        :param inputs: O and Bt-1, unshuffled, (N, 3 * factor**2, h, w) each.
        :param hints: the veil field's features, (N, C, h, w), or None.
        :return: of the shape of one input.
        """
        features = self.head(torch.cat(inputs, 1))  # CR 6 -> 32, CR 32 -> 32
        if hints is not None:
            features = features + hints
        masks = self.masks(path_probabilities, features.shape[-2:])
        features = self.path_mixer(features, masks)  # DOT, RES 32 in every path, Add
        return self.tail(features)  # CBR 32 -> 32, Conv 32 -> 3

    def _seen_by_veil(self, image: torch.Tensor, previous: torch.Tensor,
                      path_probabilities: torch.Tensor) -> torch.Tensor:
        """Make the thumbnail that the veil field looks at, (N, channels, 96, 128)."""
        masks = self.masks(path_probabilities, THUMBNAIL)
        parts = [thumbnail(image), thumbnail(previous), masks]
        if self.config.veil_below:
            parts.append(masks.flip(2).cumsum(2).flip(2) / THUMBNAIL[0])
        return torch.cat([part.to(image.dtype) for part in parts], 1)

    def masks(self, path_probabilities: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """
        Work out the weights of the paths at the working size.

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
