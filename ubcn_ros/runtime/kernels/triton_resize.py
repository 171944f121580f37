# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bilinear resizing in Triton, channels last: all that a pixel needs of its channels at once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ubcn_ros.runtime.kernels.launch import check_offsets, on

_VALUES = 2048  # per program
_WIDEST = 64  # channels per program
_SIZES = ['height', 'width', 'out_height', 'out_width', 'pixels', 'scale_y', 'scale_x']


@triton.jit
def _between(position, scale, size):
    """Find neighbours in a line of ``size`` and the second's share, as PyTorch places them."""
    place = tl.maximum((position.to(tl.float32) + 0.5) * scale - 0.5, 0.0)
    first = tl.minimum(place.to(tl.int32), size - 1)
    return first, tl.minimum(first + 1, size - 1), place - first.to(tl.float32)


@triton.jit(do_not_specialize=_SIZES)
def _resize(source, result, height, width, out_height, out_width, pixels, scale_y, scale_x,
            CHANNELS: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Compute BLOCK of a batch's ``pixels`` and WIDTH channels per program."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)[None, :]
    row = pixel // out_width
    top, bottom, low = _between(row % out_height, scale_y, height)
    left, right, far = _between(pixel % out_width, scale_x, width)
    inside = (pixel < pixels)[:, None] & (channel < CHANNELS)
    above = row // out_height * height + top
    below = above + bottom - top
    low, far = low[:, None], far[:, None]
    total = tl.full((BLOCK, WIDTH), 0.0, tl.float32)
    total += (1 - low) * (1 - far) * tl.load(
        source + ((above * width + left) * CHANNELS)[:, None] + channel, inside, 0.0)
    total += (1 - low) * far * tl.load(
        source + ((above * width + right) * CHANNELS)[:, None] + channel, inside, 0.0)
    total += low * (1 - far) * tl.load(
        source + ((below * width + left) * CHANNELS)[:, None] + channel, inside, 0.0)
    total += low * far * tl.load(
        source + ((below * width + right) * CHANNELS)[:, None] + channel, inside, 0.0)
    tl.store(result + (pixel * CHANNELS)[:, None] + channel, total.to(result.dtype.element_ty),
             inside)


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Resize bilinearly, corners not aligned, without a filter.

    :param x: (N, C, h, w), channels last (else copied first).
    :param size: (H, W).
    :return: (N, C, H, W), channels last.
    :raises ValueError: nothing to resize, or too many values for 32-bit offsets.
    """
    n, channels, height, width = x.shape
    pixels = n * size[0] * size[1]
    if not x.numel() or not pixels:
        raise ValueError(f'cannot resize {tuple(x.shape)} to {size}: run the reference module')
    check_offsets(max(x.numel(), pixels * channels))
    x = x.contiguous(memory_format=torch.channels_last)
    result = torch.empty((n, channels, *size), dtype=x.dtype, device=x.device,
                         memory_format=torch.channels_last)
    wide = min(_WIDEST, triton.next_power_of_2(channels))
    block = _VALUES // wide
    with on(x.device):
        _resize[(-(-pixels // block), -(-channels // wide))](
            x, result, height, width, *size, pixels, height / size[0], width / size[1], channels,
            block, wide)
    return result
