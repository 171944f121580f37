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
from ubcn_ros.network.veil_field import Lift, VeilField, thumbnail


@dataclass(frozen=True)
class IDMConfig:
    """
    Size of an IDM; the defaults are the published table 1 (223,779 parameters, 0.854 MiB).

    The 13.40 MB of table 4 would need 92 channels and 22 blocks.
    """

    # features between the first and the last convolution
    channels: int = 32
    # RES, of two convolutions each
    blocks: int = 11
    # side of the squares of pixels that are worked on as one, in 3 * side**2 channels: 2 takes a
    # quarter of the work per layer
    unshuffle: int = 1
    # of the RES, which cycle through them: a wider view at no cost
    dilations: tuple[int, ...] = (1,)
    # width of a VeilField in front; 0 for none
    veil_channels: int = 0
    # channels of texture that the veil field sees
    veil_texture: int = 0
    # further RES at each level of the veil field
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
        Derain an image.

        It keeps its precision: in half precision only the residual is computed so.

        :param image: O, (N, 3, H, W) RGB 0..1.
        :return: B1, (N, 3, H, W), not clamped, so that gradients pass.
        """
        unshuffled = self._unshuffled(image)
        if self.veil is None:
            residual = self._residual(unshuffled)
        else:
            change, hints = self._lift(image, unshuffled)
            residual = self._residual(unshuffled + change, hints) + change
        return image + shuffle(residual, self.factor, image.shape[-2:])

    def _residual(self, unshuffled: torch.Tensor, hints: torch.Tensor | None = None
                  ) -> torch.Tensor:
        """
        Predict the residual: table 1, row by row.

        :param unshuffled: the image, (N, 3 * factor**2, h, w).
        :param hints: the veil field's features, (N, C, h, w), or None.
        :return: of the shape of the unshuffled image.
        """
        features = self.head(unshuffled)  # CR 3 -> 32, CR 32 -> 32
        if hints is not None:
            features = features + hints
        return self.tail(self.body(features))  # 11 x RES 32, CBR 32 -> 32, Conv 32 -> 3

    def lift(self, image: torch.Tensor) -> torch.Tensor:
        """
        Lift the veil alone.

        :param image: (N, 3, H, W) RGB 0..1.
        :return: the image as the veil field hands it on, (N, 3, H, W), not clamped.
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
