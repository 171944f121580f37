# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The building blocks of the paper's tables, under the tables' names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

ALIGNMENT = 8
"""
Sides of images that a segmentation network sees are multiples of it: the stride of its features.

A convolution of stride 2 samples pixels 0, 2, 4 and so on, but enlarging takes its samples as
spread evenly over the side. For a multiple the features of stride 8 differ by the same
shift everywhere, which training learns (coarser ones, whose own strides the side may not fit, a
little less so); for 481 columns by 3.4 pixels one way at the left, and the other at the right.
"""


MOST_CHANNELS, MOST_DEPTH, MOST_DILATION = 256, 16, 64
"""
Largest sizes that a configuration may ask for, several times what any recipe does: model files
come from anywhere, and none is to take all memory before its tensors are found not to fit.
"""


def check_sizes(config: Any, **ranges: tuple[int, int]) -> None:
    """
    Check sizes of a module.

    :param config: of the module.
    :param ranges: least and largest value of whole numbers in it, by name.
    :raises ValueError: a size that no network has, naming it.
    """
    for name, (least, most) in ranges.items():
        check_size(name, getattr(config, name), least, most)


def check_size(name: str, value: Any, least: int, most: int) -> None:
    """Raise ValueError unless the value is a whole number in its range; a bool is none."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f'{name} is {value!r}: expected {least} to {most}')


def check_switches(**values: Any) -> None:
    """Raise ValueError, with the name, for a value that is not a bool."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f'{name} is {value!r}: expected true or false')


def check_stack(config: Any) -> None:
    """Raise ValueError, naming it, for a size that no IDM or SAM has."""
    check_sizes(config, channels=(1, MOST_CHANNELS), blocks=(0, 100), unshuffle=(1, 8))
    if not config.dilations or not all(type(d) is int and 1 <= d <= MOST_DILATION
                                       for d in config.dilations):
        raise ValueError(f'dilations are {list(config.dilations)}: expected one or more, of 1 '
                         f'to {MOST_DILATION}')


def without_autocast(x: torch.Tensor) -> torch.autocast:
    """Return the context in which what is done with a tensor keeps its precision, on meta too."""
    return torch.autocast('cpu' if x.is_meta else x.device.type, enabled=False)


def exporting() -> bool:
    """
    Tell whether the network is being traced for export, not run.

    What is traced then has to hold for every height and width: no branch may depend on them.
    """
    # PyTorch before 2.7 knows no more than that something is traced
    asked = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)
    return torch.jit.is_tracing() or asked()


def conv3x3(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Conv2d:
    """Make a 3x3 convolution with stride 1 that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)


def init_he(conv: nn.Conv2d, leak: float = 0.0) -> nn.Conv2d:
    """
    Initialize a convolution before a ReLU as He et al. (ICCV 2015): equation 15, and biases of 0.

    :param leak: slope of the ReLU below 0.
    :return: the same; behind the ReLU the mean square is about that of its input.
    """
    # with PyTorch's default initialization the signal fades over the layers, that of streaks first
    nn.init.kaiming_normal_(conv.weight, leak, nonlinearity='leaky_relu')
    nn.init.zeros_(conv.bias)
    return conv


def init_blind(weight: torch.Tensor, colors: int = 1) -> None:
    """
    Subtract its mean from each kernel of a first convolution, in place: it ignores even areas.

    :param weight: (N, C, h, w) of a convolution of an image.
    :param colors: equal parts of the C channels, in order, each with a mean of its own: with 1 the
        kernels ignore areas of an even grey, with 3 those of any even colour.
    """
    with torch.no_grad():
        kernels = weight.unflatten(1, (colors, -1))
        kernels -= kernels.mean((2, 3, 4), keepdim=True)


def init_zero(layer: nn.Module) -> None:
    """Initialize the last layer of a residual with zero: what it is added to is left as it was."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def cr(in_channels: int, out_channels: int) -> nn.Sequential:
    """Make a CR of tables 1 and 3: convolution and ReLU."""
    return nn.Sequential(init_he(conv3x3(in_channels, out_channels)), nn.ReLU(inplace=True))


def cbr(in_channels: int, out_channels: int) -> nn.Sequential:
    """Make a CBR of tables 1 and 3: convolution, batch normalisation and ReLU."""
    return nn.Sequential(conv3x3(in_channels, out_channels), nn.BatchNorm2d(out_channels),
                         nn.ReLU(inplace=True))


class RES(nn.Module):
    """
    RES of tables 1 and 3: two CR and a skip, (N, C, H, W) to the same.

    The second convolution starts at half the He gain, so that a stack of eleven neither explodes
    nor needs batch normalisation.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = init_he(conv3x3(channels, channels, dilation))
        self.conv2 = init_he(conv3x3(channels, channels, dilation))
        with torch.no_grad():
            self.conv2.weight.mul_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + F.relu(self.conv2(F.relu(self.conv1(x))))


def residual_stack(channels: int, blocks: int, dilations: tuple[int, ...] = (1,)
                   ) -> nn.Sequential:
    """Make ``blocks`` RES in a row, whose dilations cycle through ``dilations``."""
    return nn.Sequential(*(RES(channels, dilations[i % len(dilations)]) for i in range(blocks)))


def unshuffle(image: torch.Tensor, factor: int) -> torch.Tensor:
    """
    Move space to depth.

    Sizes that ``factor`` does not divide are padded on the right and at the bottom by repeating
    the edge; ``shuffle`` cuts it off again.

    :param image: (N, C, H, W).
    :param factor: side of the squares of pixels that become one, 1 or more.
    :return: (N, C * factor**2, ceil(H / factor), ceil(W / factor)).
    """
    if factor == 1:
        return image
    height, width = image.shape[-2:]
    bottom, right = -height % factor, -width % factor
    if exporting() or bottom or right:
        image = F.pad(image, (0, right, 0, bottom), mode='replicate')
    return F.pixel_unshuffle(image, factor)


def shuffle(features: torch.Tensor, factor: int, size: tuple[int, int]) -> torch.Tensor:
    """Move depth to space, the inverse of ``unshuffle``, cut to ``size`` (H, W)."""
    if factor == 1:
        return features
    return F.pixel_shuffle(features, factor)[..., :size[0], :size[1]]


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize (N, C, h, w) to (N, C, *size), bilinearly; modules hold it, to be replaced there."""
    return F.interpolate(x, size, mode='bilinear', align_corners=False)


def aligned(height: int, width: int) -> tuple[int, int]:
    """Return the largest sides that are not above these and are multiples of ``ALIGNMENT``."""
    return height // ALIGNMENT * ALIGNMENT, width // ALIGNMENT * ALIGNMENT


def resample(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Resize (N, C, H, W) to (N, C, *size), bilinearly and without aliasing, channels last.

    ONNX has nothing of the kind: exported, it is two matrix products, the same up to rounding.
    """
    if exporting():
        # on its device: before PyTorch 2.7 torch.compile comes here, too
        rows, columns = (_triangles(*lengths, image.device)
                         for lengths in zip(image.shape[-2:], size, strict=True))
        return (rows @ image.float() @ columns.T).to(image.dtype)
    small = F.interpolate(image, size, mode='bilinear', align_corners=False, antialias=True)
    return small.contiguous(memory_format=torch.channels_last)


def _triangles(length: int, count: int, device: torch.device) -> torch.Tensor:
    """(count, length) weights by which a line is resized: triangles two of its places wide."""
    places = torch.arange(length, device=device)[None] + 0.5
    step = (places[:, -1:] + 0.5) / count  # no branch may depend on the length
    middles = (torch.arange(count, device=device)[:, None] + 0.5) * step
    weights = (1 - (places - middles).abs() / step.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
