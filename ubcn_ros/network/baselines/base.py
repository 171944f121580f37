# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the derain-only networks of other papers share."""

from __future__ import annotations

import torch
from torch import nn


class Baseline(nn.Module):
    """
    Base: rainy image to derained image, in the place of IDM.

    A subclass has ``stages``; images may have any size. What it adds to the image starts at zero
    where there is such a residual: a choice made here for all alike.
    """

    early_weight = 1.0
    """Weight of the loss of each estimate before the last, whose is 1."""
    published_parameters: int | None = None
    """Parameters of the authors' file where it holds more than the network uses."""

    def stages(self, image: torch.Tensor) -> list[torch.Tensor]:
        """
        Return the estimates that the paper trains on, the last of which is the result.

        :param image: O, (N, 3, H, W) RGB 0..1.
        :return: one or more of (N, 3, H, W), not clamped, so that gradients pass.
        """
        raise NotImplementedError

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Derain an image, (N, 3, H, W) RGB 0..1, to the same, not clamped."""
        return self.stages(image)[-1]
