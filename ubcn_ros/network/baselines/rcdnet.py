# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RCDNet, the rain convolutional dictionary network.

Wang et al., "A Model-Driven Deep Neural Network for Single Image Rain Removal", CVPR 2020. Rain is
the sum of 32 maps M convolved with 9x9 kernels C; the stages alternate a proximal gradient step
for M and one for the background B, 17 times, each proximal operator a network of four residual
blocks of two 3x3 convolutions with batch normalisation. B goes with 32 dual channels through its
own, once before and once after the stages. The loss is on every stage's B, a tenth for all but the
last [inferred]. The grey levels are those of 0 to 255, which the thresholds are made for.

2,975,187 parameters. The published file has 3,166,355: one proximal network for M that nothing
uses, and 16 copies of the kernels, of which one is used; table 4 has the size of such a file.

As in the authors' code the first stage alone has other kernels, and a tenth of their values
counts, which slows their learning; they start at random, not from the authors' file.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.baselines.base import Baseline
from ubcn_ros.network.blocks import conv3x3

STAGES = 17
MAPS = 32
DUALS = 32
KERNEL = 9
BLOCKS = 4
LEVELS = 255.0
KERNEL_SCALE = 0.1


class Proximal(nn.Module):
    """A proximal operator, (N, C, H, W) to the same, not negative."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(conv3x3(channels, channels), nn.BatchNorm2d(channels), nn.ReLU(),
                          conv3x3(channels, channels), nn.BatchNorm2d(channels))
            for _ in range(BLOCKS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = F.relu(x + block(x))
        return x


class MapProximal(Proximal):
    """That of the rain maps, which a threshold makes sparse."""

    def __init__(self) -> None:
        super().__init__(MAPS)
        self.threshold = nn.Parameter(torch.full((1, MAPS, 1, 1), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(super().forward(x) - self.threshold)


class RCDNet(Baseline):
    """Proximal gradient steps for rain maps and background, unfolded."""

    early_weight = 0.1
    published_parameters = 3_166_355

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.randn(2, 3, MAPS, KERNEL, KERNEL) / KERNEL_SCALE / KERNEL / MAPS ** 0.5
        self.first_kernels, self.kernels = map(nn.Parameter, kernels)
        self.to_duals = nn.Parameter(torch.full((DUALS, 3, 3, 3), 1 / 9))
        self.threshold = nn.Parameter(torch.ones(1))
        self.map_rates = nn.Parameter(torch.cat((torch.ones(1), torch.full((STAGES - 1,), 0.1))))
        self.background_rates = nn.Parameter(torch.full((STAGES,), 0.5))
        self.before, self.after = Proximal(3 + DUALS), Proximal(3 + DUALS)
        self.map_steps = nn.ModuleList(MapProximal() for _ in range(STAGES))
        self.background_steps = nn.ModuleList(Proximal(3 + DUALS) for _ in range(STAGES))

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        rainy = LEVELS * image.to(self.to_duals.dtype)
        found = self.before(torch.cat((rainy, F.conv2d(rainy, self.to_duals, padding=1)), 1))
        maps, rain, estimates = 0, None, []
        for t in range(STAGES):
            background, duals = found.split((3, DUALS), 1)
            maps = self.map_steps[t](maps - self.map_rates[t] * self._gradient(
                rainy - background, rain))
            rain = F.conv2d(maps, KERNEL_SCALE * self.kernels, padding=KERNEL // 2)
            background = torch.lerp(background, rainy - rain, self.background_rates[t])
            found = self.background_steps[t](torch.cat((background, duals), 1))
            estimates.append(found[:, :3] / LEVELS)
        return [*estimates, self.after(found)[:, :3] / LEVELS]

    def _gradient(self, seen: torch.Tensor, rain: torch.Tensor | None) -> torch.Tensor:
        """
        Return the gradient of the fit by the rain maps, (N, MAPS, H, W).

        :param seen: the rain that the background leaves, (N, 3, H, W).
        :param rain: that of the maps; None for the first stage, without any: there only what is
            above a threshold counts.
        """
        kernels = self.first_kernels if rain is None else self.kernels
        error = -F.relu(seen - self.threshold) if rain is None else rain - seen
        return F.conv_transpose2d(error, KERNEL_SCALE * kernels, padding=KERNEL // 2)
