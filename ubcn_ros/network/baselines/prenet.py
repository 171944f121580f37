# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
PReNet, the derain-only network that the engine is timed against.

Ren et al., "Progressive Image Deraining Networks: A Better and Simpler Baseline", CVPR 2019:
six recurrent stages, each seeing the rainy image and the last estimate, with a convolutional LSTM
and five residual blocks of 32 channels; 168,963 parameters, shared by the stages. Weights do not
change its speed, so it is built with random ones.
"""

from __future__ import annotations

import torch
from torch import nn

CHANNELS = 32
STAGES = 6
BLOCKS = 5


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


class PReNet(nn.Module):
    """Rainy image (N, 3, H, W) RGB 0..1 to the last stage's estimate of the clean one."""

    def __init__(self, stages: int = STAGES) -> None:
        super().__init__()
        self.stages = stages
        c = CHANNELS
        self.head = nn.Sequential(_conv(6, c), nn.ReLU())
        self.gates = _conv(2 * c, 4 * c)  # of the LSTM, in one convolution: that is faster
        self.blocks = nn.ModuleList(nn.Sequential(_conv(c, c), nn.ReLU(), _conv(c, c), nn.ReLU())
                                    for _ in range(BLOCKS))
        self.tail = _conv(c, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        estimate = image
        hidden = cell = image.new_zeros(len(image), CHANNELS, *image.shape[-2:])
        for _ in range(self.stages):
            x = torch.cat((self.head(torch.cat((image, estimate), 1)), hidden), 1)
            keep, add, new, show = self.gates(x).chunk(4, 1)
            cell = keep.sigmoid() * cell + add.sigmoid() * new.tanh()
            hidden = show.sigmoid() * cell.tanh()
            x = hidden
            for block in self.blocks:
                x = torch.relu(block(x) + x)
            estimate = self.tail(x) + image
        return estimate
