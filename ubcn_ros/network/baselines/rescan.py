# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RESCAN, the recurrent squeeze-and-excitation context aggregation network.

Li et al., "Recurrent Squeeze-and-Excitation Context Aggregation Net for Single Image Deraining",
ECCV 2018. Four stages with the same weights; in each a 3x3 convolution of 24 channels and four
dilated by 1, 2, 4 and 8, all of them gated recurrent units over the stages, then a 3x3 and a 1x1
convolution, which predict the rain; squeeze and excitation and LeakyReLU 0.2 follow all but the
last. Every stage predicts all of the rain from the image of the one before (full prediction), and
the loss is on each. 149,823 parameters.

A unit's own input is dilated and its state is not; squeeze and excitation has 6 hidden features:
both as in the authors' code. States start at zero [inferred].
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.baselines.base import Baseline
from ubcn_ros.network.blocks import conv3x3, init_zero

CHANNELS = 24
STAGES = 4
DILATIONS = (1, 2, 4, 8)
SQUEEZED = 6
SLOPE = 0.2


class SqueezeExcitation(nn.Module):
    """Scale every channel of (N, C, H, W) by 0..1, as the means of all of them say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, SQUEEZED)
        self.excite = nn.Linear(SQUEEZED, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.excite(F.relu(self.squeeze(x.mean((2, 3))))).sigmoid()
        return x * weights[:, :, None, None]


class ConvGRU(nn.Module):
    """Gated recurrent unit of convolutions, over the stages."""

    def __init__(self, in_channels: int, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.of_input = conv3x3(in_channels, 3 * channels, dilation)  # update, reset, candidate
        self.gates_of_state = conv3x3(channels, 2 * channels)
        self.candidate_of_state = conv3x3(channels, channels)
        self.scale = SqueezeExcitation(channels)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return the next state, (N, C, H, W), which is the output, too."""
        update, reset, candidate = self.of_input(x).chunk(3, 1)
        more_update, more_reset = self.gates_of_state(state).chunk(2, 1)
        update = (update + more_update).sigmoid()
        reset = (reset + more_reset).sigmoid()
        candidate = (candidate + self.candidate_of_state(reset * state)).tanh()
        state = state + update * (candidate - state)
        return F.leaky_relu(self.scale(state), SLOPE)


class RESCAN(Baseline):
    """Four recurrent stages, each of which predicts the rain."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList([ConvGRU(3, CHANNELS), *(ConvGRU(CHANNELS, CHANNELS, dilation)
                                                            for dilation in DILATIONS)])
        self.rain = nn.Sequential(conv3x3(CHANNELS, CHANNELS), SqueezeExcitation(CHANNELS),
                                  nn.LeakyReLU(SLOPE), nn.Conv2d(CHANNELS, 3, 1))
        init_zero(self.rain[3])

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        estimates, dtype = [image], self.rain[0].weight.dtype
        nothing = image.new_zeros((len(image), CHANNELS, *image.shape[-2:]), dtype=dtype)
        states = [nothing] * len(self.units)
        for _ in range(STAGES):
            x = estimates[-1].to(dtype)
            for i, unit in enumerate(self.units):
                x = states[i] = unit(x, states[i])
            estimates.append(image - self.rain(x))
        return estimates[1:]
