# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""IDM, the image-level derain module (the paper's table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ubcn_ros.network.blocks import (
    cbr,
    check_stack,
    conv3x3,
    cr,
    init_blind,
    init_zero,
    residual_stack,
    shuffle,
    unshuffle,
)

_CONTRAST = 3.0  # a streak, a third brighter than the street or less, counts like a colour


@dataclass(frozen=True)
class IDMConfig:
    """
    Size of an IDM; the defaults are the published table 1 (223,779 parameters, 0.854 MiB).

    The 13.40 MB of table 4 would need 92 channels and 22 blocks: the preset 'wide'.
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

    def __post_init__(self) -> None:
        """Raise ValueError for a size that no network has."""
        check_stack(self)


class IDM(nn.Module):
    """
    Rainy image to derained image: the image plus a predicted residual.

    Table 1, all kernels 3x3, stride 1, padding 1:

    ======  ========  ====================================
    layer   channels
    ======  ========  ====================================
    CR      3 to 32   convolution, ReLU
    CR      32 to 32
    RES     32 to 32  11 times: two CR and a skip
    CBR     32 to 32  convolution, normalisation, ReLU
    Conv    32 to 3   starts at zero: IDM as the identity
    ======  ========  ====================================
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
        init_zero(self.tail[1])
        # beside colours streaks are small: IDM learnt to take them away late or not at all
        # (config/train/history.md)
        with torch.no_grad():
            kernels = self.head[0][0].weight[:config.channels // 2]
            init_blind(kernels, 3)
            kernels *= _CONTRAST

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """
        Derain an image.

        It keeps its precision: in half precision only the residual is computed so.

        :param image: O, (N, 3, H, W) RGB 0..1.
        :return: B1, (N, 3, H, W), not clamped, so that gradients pass.
        """
        x = unshuffle(image, self.factor).to(self.tail[1].weight.dtype)
        x = self.head(x)  # CR 3 to 32, CR 32 to 32
        x = self.body(x)  # 11 x RES 32
        x = self.tail(x)  # CBR 32 to 32, Conv 32 to 3
        return image + shuffle(x, self.factor, image.shape[-2:])
