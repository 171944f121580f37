# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Convolutions of any number of channels in Triton, with bias, skip and activation, channels last.

As the residual block's: implicit matrix products of a tile of pixels per tap and chunk of input
channels, accumulated in fp32. For the large images of early and late layers, where what cuDNN
leaves to further kernels takes longer than the convolution itself.

Importing this needs Triton.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ubcn_ros.runtime.kernels.launch import check_offsets, on

_TILE = (8, 16)  # height and width of a program's pixels
_WARPS = 4
_CHUNK = 32  # input channels per matrix product
_WIDEST = 64  # output channels per program
_LEAST = 16  # rows and columns that a matrix product takes
_SIZES = ['height', 'width', 'out_height', 'out_width', 'rows', 'columns']


@triton.jit(do_not_specialize=[*_SIZES, 'slope'])
def _convolution(source, weight, bias, skip, result, height, width, out_height, out_width, rows,
                 columns, slope, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr,
                 KERNEL: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr,
                 DILATION: tl.constexpr, SKIP: tl.constexpr, TILE_H: tl.constexpr,
                 TILE_W: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr):
    """
    Compute a tile of ``rows`` x ``columns`` per image and BLOCK output channels per program.

    Negative results are multiplied by ``slope``.
    """
    CHUNKS: tl.constexpr = (INPUTS + CHUNK - 1) // CHUNK
    tile = tl.program_id(0)
    image = tile // (rows * columns)
    pixel = tl.arange(0, TILE_H * TILE_W)
    y = tile % (rows * columns) // columns * TILE_H + pixel // TILE_W
    x = tile % columns * TILE_W + pixel % TILE_W
    output = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.full((TILE_H * TILE_W, BLOCK), 0.0, tl.float32)
    for product in range(KERNEL * KERNEL * CHUNKS):
        tap = product // CHUNKS
        channel = product % CHUNKS * CHUNK + tl.arange(0, CHUNK)
        tap_y = y * STRIDE - PADDING + tap // KERNEL * DILATION
        tap_x = x * STRIDE - PADDING + tap % KERNEL * DILATION
        inside = ((tap_y >= 0) & (tap_y < height) & (tap_x >= 0) & (tap_x < width))[:, None]
        known = channel[:, None] < INPUTS
        if INPUTS % CHUNK != 0:
            inside = inside & (channel[None, :] < INPUTS)
        offset = (image * height + tap_y) * width + tap_x
        values = tl.load(source + (offset[:, None] * INPUTS + channel[None, :]), mask=inside,
                         other=0.0)
        matrix = tl.load(weight + ((tap * INPUTS + channel[:, None]) * OUTPUTS + output[None, :]),
                         mask=known & (output[None, :] < OUTPUTS), other=0.0)
        total = tl.dot(values, matrix, total, input_precision='ieee')
    total += tl.load(bias + output, mask=output < OUTPUTS, other=0.0).to(tl.float32)[None, :]
    offset = ((image * out_height + y) * out_width + x)[:, None] * OUTPUTS + output[None, :]
    inside = ((y < out_height) & (x < out_width))[:, None] & (output[None, :] < OUTPUTS)
    if SKIP:
        total += tl.load(skip + offset, mask=inside, other=0.0).to(tl.float32)
    total = tl.where(total < 0, total * slope, total)
    tl.store(result + offset, total.to(result.dtype.element_ty), mask=inside)


def convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
             skip: torch.Tensor | None = None, slope: float = 1.0, stride: int = 1,
             padding: int = 0, dilation: int = 1, stages: int = 3) -> torch.Tensor:
    """
    Convolve, add the bias and the skip, and multiply what is negative by ``slope``.

    :param x: (N, C, H, W), channels last (else copied first).
    :param weight, bias: what ``launch.pack`` returns, of a square kernel, and (C out,).
    :param skip: of the shape of the result.
    :param slope: 0 is ReLU, 1 none.
    :param stages: how far ahead values are copied; with 1 they pass the L1 cache.
    :return: (N, C out, H', W'), channels last.
    :raises ValueError: other shapes, or too many values for 32-bit offsets.
    """
    n, inputs, height, width = x.shape
    taps, expected, outputs = weight.shape
    kernel = round(taps ** 0.5)
    out_height, out_width = ((side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
                             for side in (height, width))
    shape = (n, outputs, out_height, out_width)
    if inputs != expected or min(shape) < 1 or (skip is not None and skip.shape != shape):
        raise ValueError(f'{tuple(x.shape)} by {tuple(weight.shape)} with a skip of '
                         f'{None if skip is None else tuple(skip.shape)} does not fit: run the '
                         'reference module')
    check_offsets(max(x.numel(), n * outputs * out_height * out_width))
    x = x.contiguous(memory_format=torch.channels_last)
    result = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    if skip is not None:
        skip = skip.contiguous(memory_format=torch.channels_last)
    rows, columns = (-(-side // size) for side, size in zip(shape[2:], _TILE, strict=True))
    chunk = min(_CHUNK, max(_LEAST, triton.next_power_of_2(inputs)))
    block = min(_WIDEST, max(_LEAST, triton.next_power_of_2(outputs)))
    with on(x.device):
        _convolution[(n * rows * columns, -(-outputs // block))](
            x, weight, bias, result if skip is None else skip, result, height, width, out_height,
            out_width, rows, columns, float(slope), inputs, outputs, kernel, stride, padding,
            dilation, skip is not None, *_TILE, chunk, block, num_warps=_WARPS, num_stages=stages)
    return result
