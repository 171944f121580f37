# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A segmentation network of a few layers, for tests of what trains, keeps and measures one."""

import torch
from torch import nn

from ubcn_ros.network.segmentation.base import SegmentationNetwork


def _halved(in_channels, out_channels):
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False),
                         nn.BatchNorm2d(out_channels), nn.ReLU())


class SmallSegmentation(SegmentationNetwork):
    """Features at stride 8, as DDRNet-23-slim has them; logits and an auxiliary head at 4."""

    def __init__(self, num_classes, width=8):
        super().__init__()
        self.feature_channels = 4 * width
        self.stem = nn.Sequential(_halved(3, width), _halved(width, 2 * width))
        self.deep = _halved(2 * width, 4 * width)
        self.classifier = nn.Conv2d(6 * width, num_classes, 1)
        self.auxiliary_head = nn.Conv2d(2 * width, num_classes, 1)

    def encode(self, x):
        detail = self.stem(x)
        return self.deep(detail), detail

    def classify(self, features, context):
        enlarged = nn.functional.interpolate(features, context.shape[-2:], mode='bilinear')
        return self.classifier(torch.cat((enlarged, context), 1))

    def auxiliary(self, context):
        return [self.auxiliary_head(context)]
