# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
DDRNet-23-slim with heads of finer resolution, the segmentation network of the light presets.

Hong et al., "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of
Road Scenes", 2021 (77.4 % mIoU on Cityscapes test with 5.7 M parameters; all its convolutions are
dense, which CPUs and tensor cores like). The head adds the stem's stride-4 features, as the
decoder of DeepLabv3+ does (Chen et al., ECCV 2018): poles and signs are few pixels wide. The
auxiliary head of the training takes the detail before the first fusion, not after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.blocks import check_size, check_switches, exporting, resize
from ubcn_ros.network.segmentation.base import SegmentationNetwork, conv_bn


class Skips(NamedTuple):
    """What the heads take besides the features: those of stride 2, 4 and early ones of 8."""

    stride2: torch.Tensor
    stride4: torch.Tensor
    detail: torch.Tensor


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a skip; the closing ReLU can be left to the caller."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, relu: bool = True
                 ) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_bn(in_channels, out_channels, 3, stride, relu=True),
                                    conv_bn(out_channels, out_channels))
        self.skip = (nn.Identity() if in_channels == out_channels and stride == 1 else
                     conv_bn(in_channels, out_channels, 1, stride))
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x) + self.skip(x)
        return F.relu(y) if self.relu else y


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a skip, widening by two; no closing ReLU."""

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_bn(in_channels, width, 1, relu=True),
                                    conv_bn(width, width, 3, stride, relu=True),
                                    conv_bn(width, 2 * width, 1))
        self.skip = conv_bn(in_channels, 2 * width, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.skip(x)


def _pre(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True),
                         nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2,
                                   bias=False))


class DAPPM(nn.Module):
    """
    Deep aggregation pyramid pooling: ever wider averages, each refined by the one before.

    The published averages are strided, count the zeros around the image, and end with that of the
    whole image: what a place gets depends on how large the image is. With a window, the size of
    what it is trained on, each is taken at every place, and none sees more than that: with one of
    8 x 10 places, the last two of the five averages are the same.

    :param window: height and width, places; None for the published averages.
    """

    resize = staticmethod(resize)

    def __init__(self, in_channels: int, width: int, out_channels: int,
                 window: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.pools = ((5, 2), (9, 4), (17, 8))
        self.window = window
        scales = len(self.pools) + 2
        self.reduce = nn.ModuleList(_pre(in_channels, width, 1) for _ in range(scales))
        self.refine = nn.ModuleList(_pre(width, width, 3) for _ in range(scales - 1))
        self.join = _pre(width * scales, out_channels, 1)
        self.skip = _pre(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.window is None:
            pooled = [F.avg_pool2d(x, size, stride, size // 2) for size, stride in self.pools]
            pooled.append(x.mean((2, 3), keepdim=True))
        else:
            height, width = self.window
            pooled = [window_means(x, (min(size, height), min(size, width)))
                      for size, _ in self.pools]
            pooled.append(window_means(x, self.window))
        outputs = [self.reduce[0](x)]
        for reduce, refine, p in zip(self.reduce[1:], self.refine, pooled, strict=True):
            outputs.append(refine(self.resize(reduce(p), x.shape[-2:]) + outputs[-1]))
        return self.join(torch.cat(outputs, 1)) + self.skip(x)


def window_means(x: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """
    Average over the window of that size, in the image, whose middle is nearest to each place.

    Of an image no larger than the window that is the mean of all. Exported, where nothing may
    depend on a size in Python, it is made of running sums, the same up to rounding.

    :param x: (N, C, H, W).
    :param window: height and width.
    :return: (N, C, H, W).
    """
    if exporting():
        return _line_means(_line_means(x.float(), 2, window[0]), 3, window[1]).to(x.dtype)
    (height, width), (high, wide) = x.shape[-2:], window
    pooled = F.avg_pool2d(x, (min(high, height), min(wide, width)), 1)
    top, left = height - pooled.shape[-2], width - pooled.shape[-1]
    return F.pad(pooled, (left // 2, left - left // 2, top // 2, top - top // 2),
                 mode='replicate')


def _line_means(x: torch.Tensor, dim: int, window: int) -> torch.Tensor:
    """Average along a dimension of the image, 2 or 3, over the nearest window at each place."""
    places = torch.arange(x.shape[dim], device=x.device)
    count = places.amax() + 1
    size = count.clamp(max=window)
    first = torch.minimum((places - (size - 1) // 2).clamp(min=0), count - size)
    sums = F.pad(x.cumsum(dim), (0, 0, 1, 0) if dim == 2 else (1, 0))
    return (sums.index_select(dim, first + size) - sums.index_select(dim, first)) / size


class DDRNet23Slim(SegmentationNetwork):
    """
    Logits at stride 4 (the paper's head: 8), or 2; features for the discriminator at stride 8.

    :param num_classes: number of classes.
    :param width: channels at full detail, 32 in the paper; all others scale with it. Train
        with 8 or more: with fewer, PyTorch 2.13 (oneDNN) overruns its buffers in the gradient of
        the strided 1x1 convolutions on processors without AVX-512.
    :param stride2_head: correct the logits at stride 2; the correction starts at zero.
    :param context_window: height and width, in places of 64 pixels, of what the averages of the
        pyramid look at, see DAPPM; None for the published pyramid.
    :raises ValueError: width is not 1 to 128, stride2_head is not a bool, or context_window is
        not two whole numbers from 1 to 1024.
    """

    resize = staticmethod(resize)

    def __init__(self, num_classes: int, width: int = 32, stride2_head: bool = False,
                 context_window: Sequence[int] | None = None) -> None:
        super().__init__()
        if context_window is not None and not (
                isinstance(context_window, (list, tuple)) and len(context_window) == 2
                and all(type(side) is int and 1 <= side <= 1024 for side in context_window)):
            raise ValueError(f'context_window is {context_window!r}: expected height and width, '
                             '1 to 1024 places of 64 pixels')
        check_size('width', width, 1, 128)
        check_switches(stride2_head=stride2_head)
        w = width
        self.feature_channels = 4 * w
        self.stem = nn.Sequential(
            conv_bn(3, w, 3, 2, relu=True), conv_bn(w, w, 3, 2, relu=True),
            BasicBlock(w, w), BasicBlock(w, w, relu=False), nn.ReLU())
        self.layer2 = nn.Sequential(BasicBlock(w, 2 * w, 2), BasicBlock(2 * w, 2 * w, relu=False))
        # the context branch goes down to stride 64, the detail branch stays at stride 8
        self.context3 = nn.Sequential(BasicBlock(2 * w, 4 * w, 2),
                                      BasicBlock(4 * w, 4 * w, relu=False))
        self.context4 = nn.Sequential(BasicBlock(4 * w, 8 * w, 2),
                                      BasicBlock(8 * w, 8 * w, relu=False))
        self.context5 = Bottleneck(8 * w, 8 * w, 2)
        self.detail3 = nn.Sequential(BasicBlock(2 * w, 2 * w),
                                     BasicBlock(2 * w, 2 * w, relu=False))
        self.detail4 = nn.Sequential(BasicBlock(2 * w, 2 * w),
                                     BasicBlock(2 * w, 2 * w, relu=False))
        self.detail5 = Bottleneck(2 * w, 2 * w)
        self.compress3 = conv_bn(4 * w, 2 * w, 1)
        self.compress4 = conv_bn(8 * w, 2 * w, 1)
        self.down3 = conv_bn(2 * w, 4 * w, 3, 2)
        self.down4 = nn.Sequential(conv_bn(2 * w, 4 * w, 3, 2, relu=True),
                                   conv_bn(4 * w, 8 * w, 3, 2))
        self.pyramid = DAPPM(16 * w, 4 * w, 4 * w, context_window and tuple(context_window))
        self.head = _pre(4 * w, 2 * w, 3)
        self.fine = nn.Sequential(nn.BatchNorm2d(3 * w), nn.ReLU(inplace=True),
                                  conv_bn(3 * w, 2 * w, relu=True))
        self.classifier = nn.Conv2d(2 * w, num_classes, 1)
        self.auxiliary_head = nn.Sequential(_pre(2 * w, 2 * w, 3), nn.BatchNorm2d(2 * w),
                                            nn.ReLU(inplace=True),
                                            nn.Conv2d(2 * w, num_classes, 1))
        # what the fine features say, narrowed, beside what one convolution saw at stride 2
        self.narrow = conv_bn(2 * w, w // 2, 1, relu=True) if stride2_head else None
        self.stride2_head = (nn.Sequential(conv_bn(w + w // 2, w, relu=True),
                                           nn.Conv2d(w, num_classes, 1)) if stride2_head else None)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode='fan_out', nonlinearity='relu')
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
        if self.stride2_head is not None:
            nn.init.zeros_(self.stride2_head[1].weight)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, Skips]:
        stride2 = self.stem[0](x)
        stride4 = self.stem[1:](stride2)
        early = F.relu(self.layer2(stride4))
        context, detail = self.context3(early), self.detail3(early)
        early_detail = detail
        # bilateral fusion: each branch adds the other's features
        context, detail = (F.relu(context + self.down3(F.relu(detail))),
                           F.relu(detail + self.resize(self.compress3(F.relu(context)),
                                                       detail.shape[-2:])))
        context, detail = self.context4(context), self.detail4(detail)
        context, detail = (F.relu(context + self.down4(F.relu(detail))),
                           F.relu(detail + self.resize(self.compress4(F.relu(context)),
                                                       detail.shape[-2:])))
        pyramid = self.pyramid(self.context5(context))
        features = self.detail5(detail) + self.resize(pyramid, detail.shape[-2:])
        return features, Skips(stride2, stride4, early_detail)

    def classify(self, features: torch.Tensor, skips: Skips) -> torch.Tensor:
        enlarged = self.resize(self.head(features), skips.stride4.shape[-2:])
        x = self.fine(torch.cat((enlarged, skips.stride4), 1))
        logits = self.classifier(x)
        if self.stride2_head is None:
            return logits
        size = skips.stride2.shape[-2:]
        return self.resize(logits, size) + self.stride2_head(
            torch.cat((self.resize(self.narrow(x), size), skips.stride2), 1))

    def auxiliary(self, skips: Skips) -> list[torch.Tensor]:
        return [self.auxiliary_head(skips.detail)]
