# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The discriminator of FAM, the feature-level adaptation module (the paper's table 2)."""

from __future__ import annotations

import torch
from torch import nn


class Discriminator(nn.Module):
    """
    Tell the features of clean images from those of rainy ones.

    Table 2: a stride-2 convolution to 64 channels, CBLR (convolution, batch normalisation, leaky
    ReLU) to 128, 256, 512 and 512, and a convolution to one logit per place; the table's last row
    is printed 1 to 1 where 512 to 1 is meant. All kernels are 4x4, so the features must be at
    least 12x12.

    :param in_channels: channels of the features, 2048 in the paper.
    """

    def __init__(self, in_channels: int = 2048) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, 64, 4, stride=2, padding=1),
                                   nn.LeakyReLU(0.2, inplace=True)]
        for width_in, width_out in ((64, 128), (128, 256), (256, 512), (512, 512)):
            layers += [nn.Conv2d(width_in, width_out, 4, padding=1), nn.BatchNorm2d(width_out),
                       nn.LeakyReLU(0.2, inplace=True)]
        layers.append(nn.Conv2d(512, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """
        Judge features.

        :param features: (N, in_channels, h, w), h and w from 12 up.
        :return: logits (N, 1, h', w'), positive for clean.
        :raises ValueError: smaller features.
        """
        if min(features.shape[-2:]) < 12:
            raise ValueError(f'features of {tuple(features.shape[-2:])} are too small for the '
                             'discriminator: train on crops whose features are 12x12 or larger')
        return self.layers(features)
