# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of the loop as modules of plain tensors: what is exported, T stays outside."""

from __future__ import annotations

import torch
from torch import nn

from ubcn_ros.network import UBCN, Step


class Stage(nn.Module):
    """
    A stage of a network.

    :ivar inputs: names of its inputs.
    :ivar output: name of what it returns.
    """

    inputs: tuple[str, ...]
    output: str

    def __init__(self, network: UBCN) -> None:
        super().__init__()
        self.network = network
        self.eval()


class Derain(Stage):
    """B1 = IDM(O)."""

    inputs, output = ('image',), 'derained'

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """
        Derain.

        :param image: O, (N, 3, H, W) fp32 RGB 0..1.
        :return: (N, 3, H, W) fp32, not clamped.
        """
        return self.network.derain(image).float()


class Segment(Stage):
    """St = FAM(Bt)."""

    inputs, output = ('derained',), 'logits'

    def forward(self, derained: torch.Tensor) -> torch.Tensor:
        """
        Segment.

        :param derained: Bt, (N, 3, H, W) fp32.
        :return: (N, classes, h, w) fp32.
        """
        return self.network.segment(derained).float()


class Attend(Stage):
    """Bt = SAM(O, Bt-1, St-1)."""

    inputs, output = ('image', 'previous', 'previous_logits'), 'derained'

    def forward(self, image: torch.Tensor, previous: torch.Tensor, previous_logits: torch.Tensor
                ) -> torch.Tensor:
        """
        Derain again.

        :param image: O, as for the first stage.
        :param previous, previous_logits: Bt-1 and St-1.
        :return: as of the first stage.
        """
        logits = previous_logits.to(self.network.path_groups.dtype)
        return self.network.attend(Step(previous, logits, image)).float()


STAGES: dict[str, type[Stage]] = {'derain': Derain, 'segment': Segment, 'attend': Attend}
