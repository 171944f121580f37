# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
JORDER-E, joint rain detection and removal, enhanced.

Yang et al., "Joint Rain Detection and Removal from a Single Image with Contextualized Deep
Networks", TPAMI 2019. Two passes with weights of their own; each takes the image and the last
estimate to 64 features and through nine contextualized blocks of three paths of two 3x3
convolutions, dilated by 1 and 1, 2 and 2, 2 and 4; from the features it estimates the mask of the
rain (two channels) and its level (three), and weighs the features by both before the estimate is
made. The second pass adds to the first's features, mask and level. 4,169,024 parameters.

As in the authors' code the wide paths count a tenth, and mask and level weigh the features by a
factor and an offset each, by two convolutions of 16 hidden channels of which the factor's starts
at 1. Mask and level have no loss of their own here [inferred]: the loss is on the images of both
passes alone, as for every baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ubcn_ros.network.baselines.base import Baseline
from ubcn_ros.network.blocks import conv3x3, init_zero

CHANNELS = 64
BLOCKS = 9
PATHS = ((1, 1, 1.0), (2, 2, 0.1), (2, 4, 0.1))
"""Dilations of both convolutions of a path, and its weight."""
MASK, LEVEL = 2, 3
"""Channels of the rain's mask and level."""
HEAD = 8
MODULATION = 16


class ContextBlock(nn.Module):
    """Three paths of two dilated CR each, and a skip, (N, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(conv3x3(channels, channels, first), nn.ReLU(),
                          conv3x3(channels, channels, second), nn.ReLU())
            for first, second, _ in PATHS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = x
        for path, (_, _, weight) in zip(self.paths, PATHS, strict=True):
            result = result + weight * path(x)
        return result


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(conv3x3(CHANNELS, HEAD), conv3x3(HEAD, channels))


class Modulation(nn.Module):
    """Turn a map of the rain into a factor and an offset of the features, which start at 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor, self.offset = (
            nn.Sequential(conv3x3(channels, MODULATION), nn.ReLU(), conv3x3(MODULATION, CHANNELS))
            for _ in range(2))
        nn.init.zeros_(self.factor[2].weight)
        nn.init.ones_(self.factor[2].bias)


class Pass(nn.Module):
    """One pass: features, what they say of the rain, and an estimate of the clean image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = conv3x3(6, CHANNELS)
        self.blocks = nn.ModuleList(ContextBlock(CHANNELS) for _ in range(BLOCKS))
        self.heads = nn.ModuleList([_head(MASK), _head(LEVEL)])
        self.modulations = nn.ModuleList([Modulation(MASK), Modulation(LEVEL)])
        self.decoder = nn.Sequential(conv3x3(CHANNELS, CHANNELS), conv3x3(CHANNELS, 3))
        init_zero(self.decoder[1])

    def forward(self, image: torch.Tensor, estimate: torch.Tensor,
                features: Sequence[torch.Tensor], rain: Sequence[torch.Tensor]
                ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """
        Estimate the clean image.

        :param image, estimate: (N, 3, H, W), O and what is known of the clean one.
        :param features, rain: of the pass before, empty for the first.
        :return: the residual, each block's features, and the rain's mask and level.
        """
        x, found = self.encoder(torch.cat((image, estimate), 1)), []
        for i, block in enumerate(self.blocks):
            x = block(x) + (features[i] if features else 0)
            found.append(x)
        rain = [head(x) + (rain[i] if rain else 0) for i, head in enumerate(self.heads)]
        offset, weighted = x, x
        for modulation, seen in zip(self.modulations, rain, strict=True):
            offset = offset + modulation.offset(seen)
            weighted = weighted * modulation.factor(seen)
        return self.decoder(offset + weighted), found, rain


class JORDERE(Baseline):
    """Two passes, the second on the estimate and the features of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Pass(), Pass()

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = image.to(self.first.encoder.weight.dtype)
        residual, features, rain = self.first(x, x, (), ())
        first = image + residual
        residual, _, _ = self.second(x, first.to(x.dtype), features, rain)
        return [first, image + residual]
