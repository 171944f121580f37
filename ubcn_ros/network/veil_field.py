# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SAM that lifts the veil of the rainy image again, by the masks and the previous image.

The labels show how far away things are, and so how dense the veil before them is. Of what the
steps after the first gain this is the larger part (config/train/history.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.blocks import (
    MOST_CHANNELS,
    MOST_DEPTH,
    check_sizes,
    check_switches,
    init_zero,
    resize,
    shuffle,
    unshuffle,
)
from ubcn_ros.network.veil import THUMBNAIL, VeilNetwork, texture_conv

_HINTS = 10


class Lift(NamedTuple):
    """
    What lifts the veil.

    :param change: what to add to the unshuffled image, of its shape.
    :param features: what to add to the features of the result, (N, features, h, w).
    """

    change: torch.Tensor
    features: torch.Tensor


class VeilField(VeilNetwork):
    """
    Gain and offset per place and colour that undo the veil of distant rain.

    Like a ``Veil`` it estimates them on a thumbnail; beside them it gives hints to the features
    of the network that it is in.

    :param in_channels: channels of what the thumbnail is made of.
    :param channels, depth, texture: as of ``VeilConfig``.
    :param features: channels of the features that it adds to.
    :param factor: of the unshuffled image that gain and offset are applied to.
    """

    def __init__(self, in_channels: int, channels: int, features: int, factor: int,
                 texture: int = 0, depth: int = 0) -> None:
        super().__init__(in_channels + texture, channels, depth, 6 + _HINTS)
        self.factor = factor
        self.texture = texture_conv(factor, texture) if texture else None
        self.hints = nn.Conv2d(_HINTS, features, 1)
        init_zero(self.hints)

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
        field = self.resize(self.estimate(thumbnail), unshuffled.shape[-2:])
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

    def __post_init__(self) -> None:
        """Raise ValueError for an unfit size, or a share outside 0..1."""
        super().__post_init__()
        check_sizes(self, veil_channels=(0, MOST_CHANNELS), veil_texture=(0, MOST_CHANNELS),
                    veil_depth=(0, MOST_DEPTH))
        check_switches(veil_below=self.veil_below)
        if not 0 <= self.coarse_from_previous < 1:
            raise ValueError(f'SAM coarse_from_previous {self.coarse_from_previous} is not a '
                             'share: choose one from 0 (off) to below 1')

    @property
    def lifts(self) -> bool:
        return self.veil_channels > 0


class FieldSAM(SAM):
    """SAM that lifts the veil of the rainy image itself, O and not O'."""

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
            parts.append(masks.flip(2).float().cumsum(2).flip(2) / THUMBNAIL[0])
        return torch.cat([part.to(image.dtype) for part in parts], 1)
