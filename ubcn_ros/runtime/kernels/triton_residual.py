# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The residual block RES in Triton: x + relu(conv2(relu(conv1(x)))), 32 channels, channels last.

Both convolutions are implicit matrix products: nine taps, each a block of pixels x 32 channels
times 32 x 32 weights, accumulated in fp32; no patch matrix is ever written. In two forms, because
neither is better everywhere:

``one_kernel``: a program computes the intermediate features of a region into a scratch of its own
(Triton cannot index shared memory; the scratch is small enough to stay in the L2 cache), waits
for its threads, and convolves that to the output tile, the region less one dilation on each side.
``two_kernels``: each convolution with its bias, ReLU and skip is one kernel over the image.

Counted per pixel, at 2 bytes a value, in multiply-accumulates (MAC), without the rounding up to
whole blocks and tiles:

=============  =================================  ==========================================
form           device memory                      MAC
=============  =================================  ==========================================
PyTorch eager  960 bytes: 7 kernels               18,432
two kernels    320 bytes: x, mid; mid, x, result  18,432
one kernel     128 bytes: x, result               9,216 + 9,216 x region / tile: 19,700 to 25,600
                                                  (dilation 1 to 4, region 32 x 32)
=============  =================================  ==========================================

So one kernel pays where memory is slow against the matrix units, and two where it is not or where
the dilation is large. Computing the intermediate anew for each tap of the second convolution
instead would need no scratch but 92,160 MAC. ``fused_residual`` has both timed on the device.

Importing this needs Triton.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ubcn_ros.runtime.kernels.launch import check_offsets, on

_BLOCK = 128  # pixels per matrix product
_WARPS = 4
_REGIONS = ((16, 16), (16, 32), (32, 32), (16, 64))  # (height, width), multiples of a block
_SIZES = ['height', 'width', 'rows', 'columns', 'tiles', 'pixels']  # no recompilation per size


@triton.jit
def _convolve(source, base, weight, y, x, height, width, DILATION: tl.constexpr,
              PADDED: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr):
    """
    Convolve 3x3 at BLOCK pixels (y, x) of a (height, width, CHANNELS) image, fp32.

    The image begins ``base`` elements into ``source``; PADDED: with zeros, else no tap may leave.
    """
    channel = tl.arange(0, CHANNELS)
    total = tl.full((BLOCK, CHANNELS), 0.0, tl.float32)
    for tap in range(9):
        tap_y = y + (tap // 3 - 1) * DILATION
        tap_x = x + (tap % 3 - 1) * DILATION
        offset = base + (tap_y * width + tap_x) * CHANNELS
        values = source + (offset[:, None] + channel[None, :])
        if PADDED:
            inside = (tap_y >= 0) & (tap_y < height) & (tap_x >= 0) & (tap_x < width)
            values = tl.load(values, mask=inside[:, None], other=0.0)
        else:
            values = tl.load(values)
        matrix = tl.load(weight + (tap * CHANNELS * CHANNELS + channel[:, None] * CHANNELS
                                   + channel[None, :]))
        total = tl.dot(values, matrix, total, input_precision='ieee')
    return total


@triton.jit(do_not_specialize=_SIZES)
def _residual(x_pointer, result, scratch, weight1, bias1, weight2, bias2, height, width, rows,
              columns, tiles, DILATION: tl.constexpr, REGION_H: tl.constexpr,
              REGION_W: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr):
    """Compute every tile of a batch, ``rows`` x ``columns`` per image, shared by programs."""
    TILE_H: tl.constexpr = REGION_H - 2 * DILATION
    TILE_W: tl.constexpr = REGION_W - 2 * DILATION
    channel = tl.arange(0, CHANNELS)
    shift1 = tl.load(bias1 + channel).to(tl.float32)[None, :]
    shift2 = tl.load(bias2 + channel).to(tl.float32)[None, :]
    region = scratch + tl.program_id(0) * (REGION_H * REGION_W * CHANNELS)
    tile = tl.program_id(0)
    while tile < tiles:  # a range of tensors is more than Triton 3.6 can interpret with NumPy 2.4
        image = (tile // (rows * columns)) * (height * width * CHANNELS)
        top = tile % (rows * columns) // columns * TILE_H
        left = tile % columns * TILE_W
        for first in range(0, REGION_H * REGION_W, BLOCK):
            pixel = first + tl.arange(0, BLOCK)
            y = top - DILATION + pixel // REGION_W
            x = left - DILATION + pixel % REGION_W
            middle = _convolve(x_pointer, image, weight1, y, x, height, width, DILATION, True,
                               BLOCK, CHANNELS)
            # the second convolution's padding is zeros, not what the first one gives out there
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            middle = tl.where(inside[:, None], tl.maximum(middle + shift1, 0.0), 0.0)
            tl.store(region + (pixel[:, None] * CHANNELS + channel[None, :]),
                     middle.to(scratch.dtype.element_ty))
        tl.debug_barrier()  # every thread's part of the region is written
        for first in range(0, TILE_H * TILE_W, BLOCK):
            pixel = first + tl.arange(0, BLOCK)
            # the last block reads past the tile, but never past the region
            row = tl.minimum(pixel // TILE_W, TILE_H - 1)
            column = pixel % TILE_W
            after = _convolve(region, 0, weight2, row + DILATION, column + DILATION, REGION_H,
                              REGION_W, DILATION, False, BLOCK, CHANNELS)
            y = top + row
            x = left + column
            inside = (pixel < TILE_H * TILE_W) & (y < height) & (x < width)
            offset = image + ((y * width + x) * CHANNELS)[:, None] + channel[None, :]
            skip = tl.load(x_pointer + offset, mask=inside[:, None], other=0.0).to(tl.float32)
            after = skip + tl.maximum(after + shift2, 0.0)
            tl.store(result + offset, after.to(result.dtype.element_ty), mask=inside[:, None])
        tl.debug_barrier()  # every thread has read the region: the next tile may overwrite it
        tile += tl.num_programs(0)


@triton.jit(do_not_specialize=_SIZES)
def _convolution(source, skip, result, weight, bias, height, width, pixels,
                 DILATION: tl.constexpr, SKIP: tl.constexpr, BLOCK: tl.constexpr,
                 CHANNELS: tl.constexpr):
    """Compute relu(conv(source)), plus ``skip`` where SKIP; BLOCK of ``pixels`` a program."""
    channel = tl.arange(0, CHANNELS)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (pixel < pixels)[:, None]
    pixel = tl.minimum(pixel, pixels - 1)
    within = pixel % (height * width)
    total = _convolve(source, (pixel - within) * CHANNELS, weight, within // width,
                      within % width, height, width, DILATION, True, BLOCK, CHANNELS)
    total = tl.maximum(total + tl.load(bias + channel).to(tl.float32)[None, :], 0.0)
    offset = pixel[:, None] * CHANNELS + channel[None, :]
    if SKIP:
        total += tl.load(skip + offset, mask=inside, other=0.0).to(tl.float32)
    tl.store(result + offset, total.to(result.dtype.element_ty), mask=inside)


def choose_region(height: int, width: int, images: int, dilation: int, programs: int
                  ) -> tuple[int, int]:
    """
    Choose the region (height, width) for ``one_kernel`` with the fewest blocks one after another.

    Small regions repeat more of the halo, large ones leave programs idle in the last round.

    :param height, width: of the images, pixels.
    :param programs: how many run at the same time.
    :raises ValueError: the dilation leaves nothing of the largest region.
    """
    def blocks(region: tuple[int, int]) -> int:
        tile_h, tile_w = (side - 2 * dilation for side in region)
        tiles = images * -(-height // tile_h) * -(-width // tile_w)
        rounds = -(-tiles // programs)
        return rounds * (region[0] * region[1] // _BLOCK - (-tile_h * tile_w // _BLOCK))

    fitting = [region for region in _REGIONS if min(region) > 2 * dilation]
    if not fitting:
        raise ValueError(f'a dilation of {dilation} leaves nothing of a region of '
                         f'{max(map(min, _REGIONS))} pixels: run the reference module')
    return min(fitting, key=blocks)


def one_kernel(x: torch.Tensor, weight1: torch.Tensor, bias1: torch.Tensor,
               weight2: torch.Tensor, bias2: torch.Tensor, dilation: int,
               region: tuple[int, int] | None = None) -> torch.Tensor:
    """
    Run RES in one kernel.

    :param x: (N, 32, H, W), channels last (else it is copied first), fewer than 2**31 - 2**24
        values.
    :param weight1, bias1, weight2, bias2: what ``launch.pack`` returns, (9, 32, 32),
        and (32,), of the type of ``x``.
    :param region: (height, width) in pixels, products of which are multiples of 128; by default
        what ``choose_region`` finds.
    :return: as ``x``, channels last.
    :raises ValueError: another shape, too many values, or too large a dilation.
    """
    x = _checked(x, weight1)
    images, channels, height, width = x.shape
    programs = _programs(x.device)
    region = region or choose_region(height, width, images, dilation, programs)
    rows, columns = (-(-size // (side - 2 * dilation))
                     for size, side in zip((height, width), region, strict=True))
    tiles = images * rows * columns
    programs = min(programs, tiles)
    scratch = x.new_empty(programs * region[0] * region[1] * channels)
    result = torch.empty_like(x)
    with on(x.device):
        _residual[(programs,)](x, result, scratch, weight1, bias1, weight2, bias2, height, width,
                               rows, columns, tiles, dilation, *region, _BLOCK, channels,
                               num_warps=_WARPS)
    return result


def two_kernels(x: torch.Tensor, weight1: torch.Tensor, bias1: torch.Tensor,
                weight2: torch.Tensor, bias2: torch.Tensor, dilation: int) -> torch.Tensor:
    """Run RES in two kernels; as ``one_kernel``, at any dilation."""
    x = _checked(x, weight1)
    images, channels, height, width = x.shape
    pixels = images * height * width
    grid = (-(-pixels // _BLOCK),)
    middle, result = torch.empty_like(x), torch.empty_like(x)
    with on(x.device):
        _convolution[grid](x, x, middle, weight1, bias1, height, width, pixels, dilation, False,
                           _BLOCK, channels, num_warps=_WARPS)
        _convolution[grid](middle, x, result, weight2, bias2, height, width, pixels, dilation,
                           True, _BLOCK, channels, num_warps=_WARPS)
    return result


def _checked(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    channels = weight.shape[-1]
    if x.ndim != 4 or x.shape[1] != channels or not x.numel():
        raise ValueError(f'expected features of shape (N, {channels}, H, W), got '
                         f'{tuple(x.shape)}: run the reference module')
    check_offsets(x.numel())
    return x.contiguous(memory_format=torch.channels_last)


def _programs(device: torch.device) -> int:
    """Return how many programs fill the device; few without a GPU, where they run one by one."""
    if device.type != 'cuda':
        return 2
    properties = torch.cuda.get_device_properties(device)
    # by their registers, 113 a thread in Hopper's code and 168 in that for other architectures
    return properties.multi_processor_count * (4 if properties.major == 9 else 3)
