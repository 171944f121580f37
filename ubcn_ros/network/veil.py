# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The veil of distant rain: estimated on the frame as a whole, lifted before the loop begins.

The veil mixes the airlight into the image (I = J t + A (1 - t), t falling with distance), so that
J is linear in I with factors that change slowly over the image. They follow from the whole frame
(how bright is the sky, how black the blackest), which the small windows of a convolution stack do
not see. Here a U-shaped network estimates them on a grid of fixed size. The idea of slowly
changing linear factors from a thumbnail is HDRNet's (Gharbi et al., 2017); the paper has nothing
of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import (
    MOST_CHANNELS,
    MOST_DEPTH,
    RES,
    check_sizes,
    init_blind,
    init_he,
    init_zero,
    resample,
    residual_stack,
    resize,
    unshuffle,
)

GRID = (384, 512)
"""
Height and width to which every frame is resized, so that equal scenes look equal: about those of
the smallest cameras. A frame that is enlarged much is blurred, and shows less rain.
"""
THUMBNAIL = (96, 128)
"""Height and width of the grid on which the veil is estimated, a quarter of ``GRID``."""
_LEAK = 0.1


@dataclass(frozen=True)
class VeilConfig:
    """Size of a Veil."""

    # features at the finest level, twice as many at the others
    channels: int = 24
    # further RES at each level
    depth: int = 1
    # channels of texture: features of 2x2 pixels that are rectified before they are averaged. In a
    # thumbnail streaks are averaged away, which tell how dense the veil is; 0 for none
    texture: int = 16

    def __post_init__(self) -> None:
        """Raise ValueError for a size that no network has."""
        check_sizes(self, channels=(1, MOST_CHANNELS), depth=(0, MOST_DEPTH),
                    texture=(0, MOST_CHANNELS))


class VeilEstimate(NamedTuple):
    """
    What a Veil says of an image.

    :param gain, offset: (N, 3, H, W), slowly changing.
    """

    gain: torch.Tensor
    offset: torch.Tensor

    def lift(self, image: torch.Tensor) -> torch.Tensor:
        """Lift the veil from that image: O + gain * O + offset, (N, 3, H, W), not clamped."""
        return image + torch.addcmul(self.offset, self.gain, image)


class VeilNetwork(nn.Module):
    """
    U-shaped network of a thumbnail; it starts as no change at all.

    :param seen: channels of the thumbnail.
    :param channels, depth: as of ``VeilConfig``.
    :param outputs: channels of what it yields: three of gain, three of offset, and any others.
    """

    resize = staticmethod(resize)

    def __init__(self, seen: int, channels: int, depth: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.down1 = nn.Sequential(leaky_conv(seen, channels, 2), residual_stack(channels, depth))
        self.down2 = nn.Sequential(leaky_conv(channels, wide, 2), residual_stack(wide, depth))
        self.down3 = nn.Sequential(leaky_conv(wide, wide, 2), residual_stack(wide, depth))
        self.whole = nn.Conv2d(wide, wide, 1)
        self.middle = nn.Sequential(*(RES(wide, dilation) for dilation in (1, 2, 4)))
        self.up2 = leaky_conv(wide, wide)
        self.up1 = leaky_conv(wide, channels)
        self.up0 = leaky_conv(channels + seen, channels)
        self.field = nn.Conv2d(channels, outputs, 1)
        init_zero(self.whole)
        with torch.no_grad():
            self.field.weight[:6].zero_()
            self.field.bias.zero_()
            for level in (self.down1, self.down2, self.down3):
                for block in level[1]:  # starts as next to no change
                    block.conv2.weight.mul_(0.1)

    def estimate(self, seen: torch.Tensor) -> torch.Tensor:
        """Run the U on the thumbnail, (N, seen, 96, 128): (N, outputs, 96, 128)."""
        fine = self.down1(seen)
        coarse = self.down2(fine)
        x = self.down3(coarse)
        x = self.middle(x + self.whole(x.mean((2, 3), keepdim=True)))
        x = self.up2(self.resize(x, coarse.shape[-2:]) + coarse)
        x = self.up1(self.resize(x, fine.shape[-2:])) + fine
        x = self.up0(torch.cat((self.resize(x, seen.shape[-2:]), seen), 1))
        return self.field(x)


class Veil(VeilNetwork):
    """Rainy image to the gain and offset that lift its veil."""

    def __init__(self, config: VeilConfig = VeilConfig()) -> None:  # noqa: B008 (frozen)
        super().__init__(3 + config.texture, config.channels, config.depth, 6)
        self.config = config
        self.texture = texture_conv(2, config.texture) if config.texture else None

    def forward(self, image: torch.Tensor) -> VeilEstimate:
        """
        Estimate the veil.

        :param image: (N, 3, H, W) RGB 0..1, H and W from 32 up.
        """
        # at the precision of the image, which it is to keep; both at once are faster than by turns
        field = self.resize(self.estimate(self._seen(image)).to(image.dtype), image.shape[-2:])
        return VeilEstimate(*field.split(3, 1))

    def _seen(self, image: torch.Tensor) -> torch.Tensor:
        """Make the thumbnail of the image and of its texture, (N, 3 + texture, 96, 128)."""
        frame = resample(image, GRID).to(self.field.weight.dtype)
        seen = [F.avg_pool2d(frame, 4)]
        if self.texture is not None:
            seen.append(F.avg_pool2d(self.texture(unshuffle(frame, 2)), 2))
        return torch.cat(seen, 1)


def leaky_conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Make a 3x3 convolution with a leaky ReLU."""
    # with plain ReLU all features of a trained field were found dead, and nothing that reaches
    # them can then learn
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
    return nn.Sequential(init_he(conv, _LEAK), nn.LeakyReLU(_LEAK, inplace=True))


def texture_conv(factor: int, out_channels: int) -> nn.Sequential:
    """
    Make a convolution that starts blind to even areas, which the thumbnail shows anyway.

    :param factor: of the unshuffled image that it sees.
    """
    layer = leaky_conv(3 * factor ** 2, out_channels)
    init_blind(layer[0].weight)
    return layer
