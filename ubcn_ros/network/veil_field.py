# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The veil field of the shipped model: what a thumbnail of the frame says about the rain's veil.

This file goes when weights of the preset light-next ship, whose veil is a module of its own
(``veil``): VeilField, and the IDM and SAM with one in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.blocks import (
    RES,
    check_sizes,
    init_zero,
    residual_stack,
    resize,
    shuffle,
    unshuffle,
)
from ubcn_ros.network.derain import IDM, IDMConfig
from ubcn_ros.network.veil import THUMBNAIL, leaky_conv, texture_conv

_HINTS = 10


class Lift(NamedTuple):
    """
    What lifts the veil.

    :param change: what to add to the unshuffled image, of its shape.
    :param features: what to add to the features of the result, (N, features, h, w).
    """

    change: torch.Tensor
    features: torch.Tensor


class VeilField(nn.Module):
    """
    Gain and offset per place and colour that undo the veil of distant rain.

    Like a ``Veil`` it estimates them on a thumbnail; beside them it gives hints to the features
    of the network that it is in. It starts as no change at all: a network trained without it can
    be trained on with it.

    :param in_channels: channels of what the thumbnail is made of.
    :param channels: width of the U.
    :param features: channels of the features that it adds to.
    :param factor: of the unshuffled image that gain and offset are applied to.
    :param texture: channels of texture, 0 for none.
    :param depth: residual blocks at each of the two finer levels, and as many more at the third.
    """

    resize = staticmethod(resize)

    def __init__(self, in_channels: int, channels: int, features: int, factor: int,
                 texture: int = 0, depth: int = 0) -> None:
        super().__init__()
        self.factor = factor
        wide = 2 * channels
        self.texture = texture_conv(3 * factor ** 2, texture) if texture else None
        in_channels += texture
        self.down1 = leaky_conv(in_channels, channels, stride=2)
        self.down2 = leaky_conv(channels, wide, stride=2)
        self.down3 = leaky_conv(wide, wide, stride=2)
        self.fine = residual_stack(channels, depth)
        self.coarse = residual_stack(wide, depth)
        self.coarsest = residual_stack(wide, depth)
        self.whole = nn.Conv2d(wide, wide, 1)
        self.middle = nn.Sequential(*(RES(wide, dilation) for dilation in (1, 2, 4)))
        self.up2 = leaky_conv(wide, wide)
        self.up1 = leaky_conv(wide, channels)
        self.up0 = leaky_conv(channels + in_channels, channels)
        self.field = nn.Conv2d(channels, 6 + _HINTS, 1)
        self.hints = nn.Conv2d(_HINTS, features, 1)
        with torch.no_grad():
            self.field.weight[:6].zero_()
            self.field.bias.zero_()
        for last in (self.whole, self.hints):
            init_zero(last)
        for block in (*self.fine, *self.coarse, *self.coarsest):
            with torch.no_grad():  # starts as next to no change
                block.conv2.weight.mul_(0.1)

    def forward(self, thumbnail: torch.Tensor, unshuffled: torch.Tensor) -> Lift:
        """
        Estimate the veil.

        :param thumbnail: (N, in_channels, 96, 128).
        :param unshuffled: (N, 3 * factor**2, h, w), the unshuffled image, RGB 0..1.
        :return: ``change`` of the shape of ``unshuffled``, and ``features`` (N, features, h, w).
        """
        if self.texture is not None:
            texture = F.avg_pool2d(self.texture(unshuffled), max(1, 4 // self.factor))
            thumbnail = torch.cat((thumbnail, self.resize(texture, THUMBNAIL)), 1)
        fine = self.fine(self.down1(thumbnail))
        coarse = self.coarse(self.down2(fine))
        x = self.coarsest(self.down3(coarse))
        x = self.middle(x + self.whole(x.mean((2, 3), keepdim=True)))
        x = self.up2(self.resize(x, coarse.shape[-2:]) + coarse)
        x = self.up1(self.resize(x, fine.shape[-2:])) + fine
        x = self.up0(torch.cat((self.resize(x, THUMBNAIL), thumbnail), 1))
        field = self.resize(self.field(x), unshuffled.shape[-2:])
        gain, offset, hints = field.split((3, 3, _HINTS), 1)
        if self.factor > 1:  # pixels that were unshuffled into one share gain and offset
            gain = gain.repeat_interleave(self.factor ** 2, 1)
            offset = offset.repeat_interleave(self.factor ** 2, 1)
        return Lift(torch.addcmul(offset, unshuffled, gain), self.hints(hints))


def thumbnail(image: torch.Tensor) -> torch.Tensor:
    """Shrink (N, C, H, W), H and W from 32 up, to (N, C, 96, 128): averaged, then bilinear."""
    return resize(F.avg_pool2d(image, 4), THUMBNAIL)


def coarse(image: torch.Tensor) -> torch.Tensor:
    """Smooth (N, C, H, W), H and W from 32 up, until 24x32 cells of detail are left."""
    return resize(F.avg_pool2d(thumbnail(image), 4), image.shape[-2:])


@dataclass(frozen=True)
class FieldIDMConfig(IDMConfig):
    """Size of an IDM with a veil field."""

    # width of the VeilField; 0 for none
    veil_channels: int = 0
    # channels of texture that it sees
    veil_texture: int = 0
    # further RES at each of its levels
    veil_depth: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a size that no network has."""
        super().__post_init__()
        check_sizes(self, veil_channels=0, veil_texture=0, veil_depth=0)


class FieldIDM(IDM):
    """IDM that sees the image without its veil, and features of the veil field beside its own."""

    def __init__(self, config: FieldIDMConfig) -> None:
        super().__init__(config)
        self.veil = (VeilField(3, config.veil_channels, config.channels, config.unshuffle,
                               config.veil_texture, config.veil_depth)
                     if config.veil_channels else None)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Derain an image, as IDM does."""
        if self.veil is None:
            return super().forward(image)
        unshuffled = unshuffle(image, self.factor).to(self.tail[1].weight.dtype)
        change, hints = self.veil(thumbnail(image).to(unshuffled.dtype), unshuffled)
        features = self.head(unshuffled + change) + hints
        residual = self.tail(self.body(features)) + change
        return image + shuffle(residual, self.factor, image.shape[-2:])


@dataclass(frozen=True)
class FieldSAMConfig(SAMConfig):
    """Size and form of a SAM with a veil field."""

    # width of the VeilField, which sees the paths, too; 0 for none
    veil_channels: int = 0
    # channels of the rainy image's texture that it sees
    veil_texture: int = 0
    # further RES at each of its levels
    veil_depth: int = 0
    # it sees how much of each path lies below a place in its column: a house is as far away as the
    # ground that it stands on
    veil_below: bool = False
    # share of the coarse difference to the previous image (means over 24x32 cells of the frame)
    # that is taken back, 0 (off) to below 1: what is coarse is the veil, of which two estimates
    # are better than one
    coarse_from_previous: float = 0.0
    # what the residual is added to, in the words of the shipped file
    residual: str = 'input'

    def __post_init__(self) -> None:
        """Raise ValueError for an unfit size, a share outside 0..1, or an unknown residual."""
        super().__post_init__()
        check_sizes(self, veil_channels=0, veil_texture=0, veil_depth=0)
        if not 0 <= self.coarse_from_previous < 1:
            raise ValueError(f'SAM coarse_from_previous {self.coarse_from_previous} is not a '
                             'share: choose one from 0 (off) to below 1')
        if self.residual != 'input':
            raise ValueError(f'SAM residual {self.residual!r} is unknown: only input is')


class FieldSAM(SAM):
    """SAM that sees the rainy image without its veil, as FieldIDM does."""

    def __init__(self, config: FieldSAMConfig, num_paths: int = 10) -> None:
        super().__init__(config, num_paths)
        seen = 6 + (2 if config.veil_below else 1) * num_paths
        self.veil = (VeilField(seen, config.veil_channels, config.channels, config.unshuffle,
                               config.veil_texture, config.veil_depth)
                     if config.veil_channels else None)

    def forward(self, image: torch.Tensor, previous: torch.Tensor,
                path_probabilities: torch.Tensor) -> torch.Tensor:
        """Restore the image again, as SAM does."""
        if self.veil is None:
            restored = super().forward(image, previous, path_probabilities)
        else:
            dtype = self.tail[1].weight.dtype
            rainy, before = (unshuffle(x, self.factor).to(dtype) for x in (image, previous))
            seen = self._seen_by_veil(image, previous, path_probabilities).to(dtype)
            change, hints = self.veil(seen, rainy)
            features = self.head(torch.cat((rainy + change, before), 1)) + hints
            masks = self.masks(path_probabilities, features.shape[-2:])
            residual = change + self.tail(self.path_mixer(features, masks))
            restored = image + shuffle(residual, self.factor, image.shape[-2:])
        if self.config.coarse_from_previous:
            difference = coarse(previous - restored) * self.config.coarse_from_previous
            restored = restored + difference
        return restored

    def _seen_by_veil(self, image: torch.Tensor, previous: torch.Tensor,
                      path_probabilities: torch.Tensor) -> torch.Tensor:
        """Make the thumbnail that the veil field looks at, (N, channels, 96, 128)."""
        masks = self.masks(path_probabilities, THUMBNAIL)
        parts = [thumbnail(image), thumbnail(previous), masks]
        if self.config.veil_below:
            parts.append(masks.flip(2).cumsum(2).flip(2) / THUMBNAIL[0])
        return torch.cat([part.to(image.dtype) for part in parts], 1)
