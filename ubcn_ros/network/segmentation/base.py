# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the segmentation networks share: input normalisation and the two ways to call them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

# mean and standard deviation of ImageNet's RGB, the field's habit
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def conv_bn(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1,
            dilation: int = 1, relu: bool = False) -> nn.Sequential:
    """Make a convolution that keeps the size but for its stride, and a batch normalisation."""
    layers = [nn.Conv2d(in_channels, out_channels, kernel, stride, dilation * (kernel // 2),
                        dilation, bias=False), nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class SegmentationNetwork(nn.Module):
    """
    Base of the networks here: a subclass implements ``encode`` and ``classify``.

    ``encode(x)`` takes the normalised image and returns (features, context), the features that
    the discriminator sees and whatever else ``classify`` and ``auxiliary`` need.
    """

    feature_channels: int

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('mean', torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def _apply(self, fn: Callable, recurse: bool = True) -> SegmentationNetwork:
        super()._apply(fn, recurse)
        for name, values in (('mean', _MEAN), ('std', _STD)):  # fp32, whatever the weights are
            constant = torch.tensor(values, device=getattr(self, name).device)
            setattr(self, name, constant.view(1, 3, 1, 1))
        return self

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, object]:
        """
        Work out the features.

        :param x: normalised image, (N, 3, H, W), in the weights' precision.
        :return: features (N, feature_channels, h', w') and context.
        """
        raise NotImplementedError

    def classify(self, features: torch.Tensor, context: object) -> torch.Tensor:
        """
        Work out the logits.

        :param features, context: of ``encode``.
        :return: (N, num_classes, h, w) at the network's own stride.
        """
        raise NotImplementedError

    def auxiliary(self, context: object) -> list[torch.Tensor]:
        """Work out the logits of the auxiliary heads from the context; none by default."""
        return []

    def _encode(self, image: torch.Tensor) -> tuple[torch.Tensor, object]:
        # half-precision weights: normalise first, then round
        x = (image - self.mean) / self.std
        return self.encode(x.to(next(self.parameters()).dtype))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Segment (N, 3, H, W) RGB 0..1: logits (N, num_classes, h, w)."""
        return self.classify(*self._encode(image))

    def with_features(self, image: torch.Tensor
                      ) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """
        Return logits, auxiliary logits and features in one pass, for training.

        Features are (N, feature_channels, h', w').
        """
        features, context = self._encode(image)
        return self.classify(features, context), self.auxiliary(context), features
