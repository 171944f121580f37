# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
DDN, the deep detail network.

Fu et al., "Removing Rain from Single Images via a Deep Detail Network", CVPR 2017. The detail
layer (the image without its guided low pass) goes through 26 layers of 3x3 convolutions with 16
channels and batch normalisation, ReLU but for the last, a skip over every two; what comes out is
added to the image. 57,369 parameters, with biases.

The guided filter's radius 15 and regularisation 1 are the reading chosen here [inferred].
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.baselines.base import Baseline
from ubcn_ros.network.blocks import cbr, conv3x3, init_zero

CHANNELS = 16
BLOCKS = 12
RADIUS = 15
REGULARISATION = 1.0


def box_mean(image: torch.Tensor) -> torch.Tensor:
    """Average (N, C, H, W) over squares of 2 RADIUS + 1 pixels, less of them at the borders."""
    side = 2 * RADIUS + 1
    for kernel, padding in (((side, 1), (RADIUS, 0)), ((1, side), (0, RADIUS))):
        image = F.avg_pool2d(image, kernel, 1, padding, count_include_pad=False)
    return image


def guided_low_pass(image: torch.Tensor) -> torch.Tensor:
    """
    Smooth an image under its own guidance (He et al., "Guided Image Filtering", TPAMI 2013).

    Edges stay where the variance is above REGULARISATION.

    :param image: (N, C, H, W), each channel by itself.
    """
    mean = box_mean(image)
    variance = (box_mean(image * image) - mean * mean).clamp(min=0)
    slope = variance / (variance + REGULARISATION)
    offset = mean - slope * mean
    return box_mean(slope) * image + box_mean(offset)


class DDN(Baseline):
    """A residual network on the detail layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = cbr(3, CHANNELS)
        self.body = nn.ModuleList(
            nn.Sequential(cbr(CHANNELS, CHANNELS), cbr(CHANNELS, CHANNELS))
            for _ in range(BLOCKS))
        self.tail = nn.Sequential(conv3x3(CHANNELS, 3), nn.BatchNorm2d(3))
        init_zero(self.tail[1])

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        detail = image.float() - guided_low_pass(image.float())
        x = self.head(detail.to(self.tail[0].weight.dtype))
        for block in self.body:
            x = x + block(x)
        return [image + self.tail(x)]
