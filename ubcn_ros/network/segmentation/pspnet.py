# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
PSPNet with a dilated ResNet-50, the segmentation network of the paper's section 2.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017; He et al., "Deep Residual Learning for
Image Recognition", CVPR 2016. Without the auxiliary head, as table 4's 177.60 MB says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import exporting, resize, without_autocast
from ubcn_ros.network.segmentation.base import SegmentationNetwork, conv_bn


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a skip; the last widens by four."""

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.layers = nn.Sequential(conv_bn(in_channels, width, 1, relu=True),
                                    conv_bn(width, width, 3, stride, dilation, relu=True),
                                    conv_bn(width, out_channels, 1))
        self.skip = (nn.Identity() if in_channels == out_channels and stride == 1 else
                     conv_bn(in_channels, out_channels, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.layers(x) + self.skip(x))


def _stage(in_channels: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(Bottleneck(in_channels, width, stride, dilation),
                         *(Bottleneck(4 * width, width, 1, dilation) for _ in range(blocks - 1)))


KEPT = 64
"""Sizes of features whose weights of the means are kept: a camera has one or two."""


def _means(length: int, grid: int, device: torch.device) -> torch.Tensor:
    """(grid, length) weights of the means over ``grid`` cells of a line, as PyTorch cuts them."""
    cells = torch.arange(grid, device=device)[:, None]
    places = torch.arange(length, device=device)
    inside = ((places >= cells * length // grid)
              & (places < ((cells + 1) * length + grid - 1) // grid)).float()
    return inside / inside.sum(1, keepdim=True)


def grid_means(x: torch.Tensor, grid: int) -> torch.Tensor:
    """
    Return means over a grid of cells, (N, C, H, W) to (N, C, grid, grid).

    ONNX has no adaptive pooling: exported, it is two matrix products, the same up to rounding.
    """
    if not exporting():
        return F.adaptive_avg_pool2d(x, grid)
    rows, columns = (_means(length, grid, x.device) for length in x.shape[-2:])
    return (rows @ x.float() @ columns.T).to(x.dtype)


class GridWeights(NamedTuple):
    """What ``grid_products`` multiplies features of one size, type and device by."""

    # (sum of the grids, H), of the features' type: a cell's places in a line, 1 / their number.
    rows: torch.Tensor
    # (sum of the grids,) fp32, takes back what rounding ``rows`` to that type did.
    scale: torch.Tensor
    # (sum of the grids, W) fp32.
    columns: torch.Tensor

    @classmethod
    def of(cls, x: torch.Tensor, grids: Sequence[int]) -> GridWeights:
        """Make those of features like ``x``, on their device: nothing is copied to it."""
        rows, columns = (torch.cat([_means(length, grid, x.device) for grid in grids])
                         for length in x.shape[-2:])
        rows = rows.to(x.dtype)
        return cls(rows, 1 / rows.float().sum(1), columns)


def grid_products(x: torch.Tensor, grids: Sequence[int], weights: GridWeights
                  ) -> list[torch.Tensor]:
    """
    Return means over several grids of cells, (N, C, H, W) to (N, C, grid, grid) each.

    Equal to adaptive pooling within rounding. As matrix products that read the features once for
    all grids, in the layout that they have on a GPU, channels last: PyTorch's pooling is slow on
    that in half precision, on a CPU it is the faster one. Sums are fp32.
    """
    n, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    found = []
    with without_autocast(x):
        # not `@`, which would transpose the features for a single image
        lines = torch.bmm(weights.rows.expand(n, -1, -1), pixels).float()
        for grid, line, columns, scale in zip(
                grids, *(part.split(list(grids), dim) for part, dim in (
                    (lines, 1), (weights.columns, 0), (weights.scale, 0))), strict=True):
            means = torch.bmm(columns.expand(n * grid, -1, -1),
                              line.reshape(n * grid, width, channels))
            found.append((means.view(n, grid, grid, channels) * scale[:, None, None]).permute(
                0, 3, 1, 2).to(x.dtype))
    return found


class PyramidPooling(nn.Module):
    """Averages over 1x1, 2x2, 3x3 and 6x6 grids, reduced, enlarged and joined to the features."""

    grids = (1, 2, 3, 6)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            conv_bn(channels, channels // len(self.grids), 1, relu=True) for _ in self.grids)
        self._weights: dict[tuple[Any, ...], GridWeights] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = (grid_products(x, self.grids, self.weights(x)) if x.is_cuda and not exporting()
                 else [grid_means(x, grid) for grid in self.grids])
        pooled = [resize(branch(mean), x.shape[-2:])
                  for branch, mean in zip(self.branches, means, strict=True)]
        return torch.cat((x, *pooled), 1)

    def weights(self, x: torch.Tensor) -> GridWeights:
        """
        Return the weights for features like ``x``, kept from frame to frame.

        What is kept stays for good, as captured graphs go on reading it, so further sizes than
        ``KEPT`` have theirs made each time.
        """
        if torch.compiler.is_compiling():
            return GridWeights.of(x, self.grids)
        key = (x.shape[-2:], x.dtype, x.device)
        if key in self._weights:
            return self._weights[key]
        with torch.inference_mode(False), torch.no_grad():  # so that training may use them, too
            made = GridWeights.of(x, self.grids)
        # what is made in a capture belongs to its graph
        if len(self._weights) < KEPT and not (x.is_cuda
                                              and torch.cuda.is_current_stream_capturing()):
            self._weights[key] = made
        return made


class PSPNetResNet50(SegmentationNetwork):
    """Logits at stride 8; 46,591,571 parameters for 19 classes; 2048 feature channels."""

    feature_channels = 2048

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64),
                                  nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.Sequential(_stage(64, 64, 3, 1, 1), _stage(256, 128, 4, 2, 1),
                                    _stage(512, 256, 6, 1, 2), _stage(1024, 512, 3, 1, 4))
        self.pyramid = PyramidPooling(2048)
        self.head = nn.Sequential(conv_bn(4096, 512, relu=True), nn.Dropout2d(0.1),
                                  nn.Conv2d(512, num_classes, 1))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self.stages(self.stem(x)), None

    def classify(self, features: torch.Tensor, context: None) -> torch.Tensor:
        return self.head(self.pyramid(features))
