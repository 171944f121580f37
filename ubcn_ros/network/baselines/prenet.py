# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
PReNet, the progressive recurrent network.

Ren et al., "Progressive Image Deraining Networks: A Better and Simpler Baseline", CVPR 2019. Six
recurrent stages, each seeing the rainy image and the last estimate, with a convolutional LSTM and
five residual blocks of 32 channels; 168,963 parameters, shared by the stages. The loss is on the
last alone [inferred].
"""

from __future__ import annotations

import torch
from torch import nn

from ubcn_ros.network.baselines.base import Baseline
from ubcn_ros.network.blocks import conv3x3, init_zero

CHANNELS = 32
STAGES = 6
BLOCKS = 5


class PReNet(Baseline):
    """Recurrent stages, each of which estimates the clean image anew."""

    def __init__(self) -> None:
        super().__init__()
        c = CHANNELS
        self.head = nn.Sequential(conv3x3(6, c), nn.ReLU())
        self.gates = conv3x3(2 * c, 4 * c)  # of the LSTM, in one convolution: that is faster
        self.blocks = nn.ModuleList(
            nn.Sequential(conv3x3(c, c), nn.ReLU(), conv3x3(c, c), nn.ReLU())
            for _ in range(BLOCKS))
        self.tail = conv3x3(c, 3)
        init_zero(self.tail)

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        rainy = estimate = image.to(self.tail.weight.dtype)
        hidden = cell = rainy.new_zeros(len(image), CHANNELS, *image.shape[-2:])
        for _ in range(STAGES):
            x = torch.cat((self.head(torch.cat((rainy, estimate), 1)), hidden), 1)
            keep, add, new, show = self.gates(x).chunk(4, 1)
            cell = keep.sigmoid() * cell + add.sigmoid() * new.tanh()
            hidden = show.sigmoid() * cell.tanh()
            x = hidden
            for block in self.blocks:
                x = torch.relu(block(x) + x)
            residual = self.tail(x)
            estimate = rainy + residual
        return [image + residual]
