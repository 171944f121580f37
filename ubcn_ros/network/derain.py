# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""IDM, the image-level derain module (the paper's table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ubcn_ros.network.blocks import (
    cbr,
    check_sizes,
    conv3x3,
    cr,
    residual_stack,
    shuffle,
    unshuffle,
)
from ubcn_ros.network.veil import Lift, VeilField, thumbnail


@dataclass(frozen=True)
class IDMConfig:
    """
    Size of an IDM; the defaults are the published table 1 (223,779 parameters, 0.854 MiB).

    The 13.40 MB of table 4 would need 92 channels and 22 blocks. ``unshuffle`` = 2 works on the
    image's 2x2 pixels as 12 channels, a quarter of the work per layer. ``dilations`` cycle over
    the residual blocks: a wider view at no cost, for the veil that small windows cannot tell.
    ``veil_channels`` above 0 puts a ``VeilField`` of that width in front, with ``veil_texture``
    channels of texture and ``veil_depth`` more residual blocks a level.
    """

    channels: int = 32
    blocks: int = 11
    unshuffle: int = 1
    dilations: tuple[int, ...] = (1,)
    veil_channels: int = 0
    veil_texture: int = 0
    veil_depth: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a size that no network has."""
        check_sizes(self)


class IDM(nn.Module):
    """
    Rainy image to derained image: the image plus a predicted residual.

    The last convolution starts at zero, so that training starts from the identity.
    """

    def __init__(self, config: IDMConfig = IDMConfig()) -> None:  # noqa: B008 (frozen)
        super().__init__()
        self.factor = config.unshuffle
        image_channels = 3 * config.unshuffle ** 2
        self.head = nn.Sequential(cr(image_channels, config.channels),
                                  cr(config.channels, config.channels))
        self.body = residual_stack(config.channels, config.blocks, config.dilations)
        self.tail = nn.Sequential(cbr(config.channels, config.channels),
                                  conv3x3(config.channels, image_channels))
        nn.init.zeros_(self.tail[1].weight)
        nn.init.zeros_(self.tail[1].bias)
        self.veil = (VeilField(3, config.veil_channels, config.channels, config.unshuffle,
                               config.veil_texture, config.veil_depth)
                     if config.veil_channels else None)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """
        (N, 3, H, W) RGB 0..1 to the same; not clamped, so that gradients pass.

        The image keeps its precision: in half precision only the residual is computed so.
        """
        unshuffled = self._unshuffled(image)
        if self.veil is None:
            residual = self.tail(self.body(self.head(unshuffled)))
        else:
            change, hints = self._lift(image, unshuffled)
            residual = self.tail(self.body(self.head(unshuffled + change) + hints)) + change
        return image + shuffle(residual, self.factor, image.shape[-2:])

    def lift(self, image: torch.Tensor) -> torch.Tensor:
        """
        The image as the veil field hands it on, (N, 3, H, W), not clamped.

        :raises ValueError: there is no veil field.
        """
        if self.veil is None:
            raise ValueError('this IDM has no veil field: set derain.veil_channels')
        change, _ = self._lift(image, self._unshuffled(image))
        return image + shuffle(change, self.factor, image.shape[-2:])

    def _unshuffled(self, image: torch.Tensor) -> torch.Tensor:
        return unshuffle(image, self.factor).to(self.tail[1].weight.dtype)

    def _lift(self, image: torch.Tensor, unshuffled: torch.Tensor) -> Lift:
        return self.veil(thumbnail(image).to(unshuffled.dtype), unshuffled)
