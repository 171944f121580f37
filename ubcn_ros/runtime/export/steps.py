# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two steps of the loop as modules of plain tensors: what is exported, T stays outside."""

from __future__ import annotations

import torch
from torch import nn

from ubcn_ros.network import UBCN, Step

OUTPUTS = ('derained', 'logits')
"""Names of what both steps return."""


class FirstStep(nn.Module):
    """B1 = IDM(O), S1 = FAM(B1)."""

    inputs = ('image',)

    def __init__(self, network: UBCN) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Derain and segment.

        :param image: O, (N, 3, H, W) fp32 RGB 0..1.
        :return: derained (N, 3, H, W) fp32, not clamped, and logits (N, classes, h, w) fp32.
        """
        return _plain(self.network.first_step(image))


class NextStep(nn.Module):
    """Bt = SAM(O, Bt-1, St-1), St = FAM(Bt)."""

    inputs = ('image', 'previous', 'previous_logits')

    def __init__(self, network: UBCN) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, image: torch.Tensor, previous: torch.Tensor, previous_logits: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Derain and segment again.

        :param image: O, as for the first step.
        :param previous, previous_logits: what the step before returned.
        :return: as the first step.
        """
        logits = previous_logits.to(self.network.path_groups.dtype)
        return _plain(self.network.next_step(image, Step(previous, logits)))


STEPS = {'first': FirstStep, 'next': NextStep}


def _plain(step: Step) -> tuple[torch.Tensor, torch.Tensor]:
    return step.image.float(), step.logits.float()
