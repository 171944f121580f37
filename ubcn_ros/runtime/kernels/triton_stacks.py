# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SAM's stacks in Triton where a path can have reached: sum_k stack_k(f * p_k), channels last.

The image is cut into tiles. A path's tile is computed from the first block whose result can differ
there from the stack's answer to zeros (``reached``). Until then, and where that never happens, the
answer is read in its place. It is constant but for a rim at the image's border, so that one small
image of it serves images of all sizes.

The tiles of all paths are sorted by that block on the device. Each convolution is one launch of a
fixed number of programs, which share the beginning of the list that its block needs: the host
reads no length, so that a CUDA graph can be captured and follows the masks. Every value is worked
out by one program in one order: the same inputs always give the same bits.

As in ``triton_residual.two_kernels``, each convolution with its bias, ReLU and skip is one kernel.
The first block multiplies the features by the mask as it reads them; a last kernel adds up the
paths in fp32.

Counted for ten paths of nine blocks at 1024x2048, in multiply-accumulates (MAC) and bytes of
device memory, 2 a value, where each kernel reads and writes a value once. 2.5 is the mean over
tiles of how many paths have reached them by the last block, for earlier ones an upper bound:

============================  ==========  ==========  =======
form                          10^12 MAC   10^9 bytes  kernels
============================  ==========  ==========  =======
modules, two kernels a RES    3.48        67.3        201
these, 10 of 10 paths         3.48        62.0        19
these, 2.5 of 10 paths        0.87        15.6        19
============================  ==========  ==========  =======

Some 50 small kernels that find and sort the tiles come on top, 0.5 * 10^9 bytes. Two buffers have
room for every path at every pixel, reached or not, 2.7 GB for such an image: no mask can need
more. The images of a batch take turns in them.

Importing this needs Triton.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ubcn_ros.runtime.kernels.launch import check_offsets, on
from ubcn_ros.runtime.sparse_attention import cells_by_level

TILE = 16
"""Side of a tile, pixels, each of which is one matrix product for every tap."""
_WARPS = 8
_SIZES = ['height', 'width', 'columns', 'tiles', 'mask_path', 'mask_pixel', 'block']
_PLACES = ['masks', 'levels', 'order', 'counts']  # pointers whose alignment varies with the size


@triton.jit
def _rim_pixel(y, x, height, width, REACH: tl.constexpr):
    """Find the pixel of the answer to zeros, 2 * REACH + 1 a side, that stands for (y, x)."""
    SIDE: tl.constexpr = 2 * REACH + 1
    y = tl.minimum(y, tl.maximum(y - height + SIDE, REACH))
    x = tl.minimum(x, tl.maximum(x - width + SIDE, REACH))
    return y * SIDE + x


@triton.jit
def _computed(levels, row, column, tiles, columns, bound):
    """Tell of a tile and its eight neighbours, as nine bits, which have levels below a bound."""
    computed = 0
    for near in tl.static_range(9):
        above = row + near // 3 - 1
        aside = column + near % 3 - 1
        place = above * columns + aside
        there = (above >= 0) & (aside >= 0) & (aside < columns) & (place < tiles)
        level = tl.load(levels + place, mask=there, other=bound)
        computed |= (level < bound).to(tl.int32) << near
    return computed


@triton.jit
def _masked(image, mask, offset, inside, mask_pixel, dtype: tl.constexpr,
            CHANNELS: tl.constexpr):
    """Read an image's pixels times a path's mask; zeros outside."""
    channel = tl.arange(0, CHANNELS)
    values = tl.load(image + (offset[:, None] * CHANNELS + channel[None, :]),
                     mask=inside[:, None], other=0.0)
    share = tl.load(mask + offset * mask_pixel, mask=inside, other=0.0)
    return (values * share[:, None]).to(dtype)


@triton.jit
def _computed_or_rest(image, rest, known, offset, instead, inside, CHANNELS: tl.constexpr):
    """Read pixels where they are known, and the answer to zeros instead where not."""
    channel = tl.arange(0, CHANNELS)
    places = tl.where(known, image + (offset[:, None] * CHANNELS + channel[None, :]),
                      rest + (instead[:, None] * CHANNELS + channel[None, :]))
    return tl.load(places, mask=inside[:, None], other=0.0)


@triton.jit(do_not_specialize=_SIZES + _PLACES)
def _convolution(source, source_rest, skip, skip_rest, result, masks, weight, bias, levels, order,
                 counts, height, width, columns, tiles, mask_path, mask_pixel, block,
                 FIRST: tl.constexpr, SKIP: tl.constexpr, DILATION: tl.constexpr,
                 REACH: tl.constexpr, SHARED: tl.constexpr, TILE: tl.constexpr,
                 CHANNELS: tl.constexpr):
    """
    Compute relu(conv(source)), plus ``skip`` where SKIP, on the tiles that ``block`` needs.

    ``source`` and ``skip`` hold an image a path, and the answers to zeros beside them one a set of
    weights. FIRST: the block's input is one image for all paths, to be multiplied by the masks.
    ``levels`` are the first blocks that tiles need, ``order`` the tiles by level, and ``counts``
    how many every block needs.
    """
    channel = tl.arange(0, CHANNELS)
    pixel = tl.arange(0, TILE * TILE)
    count = tl.load(counts + block)
    item = tl.program_id(0)
    while item < count:
        place = tl.load(order + item)
        path = place // tiles
        row = (place - path * tiles) // columns
        column = (place - path * tiles) % columns
        y = row * TILE + pixel // TILE
        x = column * TILE + pixel % TILE
        base = path * height * width
        weights = 0 if SHARED else path
        rest = weights * (2 * REACH + 1) * (2 * REACH + 1)
        computed = _computed(levels + path * tiles, row, column, tiles, columns, block + SKIP)
        total = tl.full((TILE * TILE, CHANNELS), 0.0, tl.float32)
        for tap in range(9):
            tap_y = y + (tap // 3 - 1) * DILATION
            tap_x = x + (tap % 3 - 1) * DILATION
            inside = (tap_y >= 0) & (tap_y < height) & (tap_x >= 0) & (tap_x < width)
            offset = tap_y * width + tap_x
            if FIRST and not SKIP:
                values = _masked(source, masks + path * mask_path, offset, inside, mask_pixel,
                                 weight.dtype.element_ty, CHANNELS)
            else:
                near = (tap_y // TILE - row + 1) * 3 + tap_x // TILE - column + 1
                known = (computed >> near) & 1 != 0
                instead = rest + _rim_pixel(tap_y, tap_x, height, width, REACH)
                values = _computed_or_rest(source, source_rest, known[:, None], base + offset,
                                           instead, inside, CHANNELS)
            matrix = tl.load(weight + ((weights * 9 + tap) * CHANNELS * CHANNELS
                                       + channel[:, None] * CHANNELS + channel[None, :]))
            total = tl.dot(values, matrix, total, input_precision='ieee')
        shift = tl.load(bias + weights * CHANNELS + channel).to(tl.float32)
        total = tl.maximum(total + shift[None, :], 0.0)
        # names of their own: set again, those of the loop make Triton 3.1 to 3.4 abort
        own_inside = (y < height) & (x < width)
        own_offset = y * width + x
        if SKIP:
            if FIRST:
                before = _masked(skip, masks + path * mask_path, own_offset, own_inside,
                                 mask_pixel, weight.dtype.element_ty, CHANNELS)
            else:
                own_known = tl.load(levels + place) < block
                own_instead = rest + _rim_pixel(y, x, height, width, REACH)
                before = _computed_or_rest(skip, skip_rest, own_known, base + own_offset,
                                           own_instead, own_inside, CHANNELS)
            total += before.to(tl.float32)
        tl.store(result + ((base + own_offset)[:, None] * CHANNELS + channel[None, :]),
                 total.to(result.dtype.element_ty), mask=own_inside[:, None])
        item += tl.num_programs(0)


@triton.jit(do_not_specialize=_SIZES + _PLACES)
def _sum(source, source_rest, result, levels, height, width, columns, tiles, block,
         PATHS: tl.constexpr, REACH: tl.constexpr, SHARED: tl.constexpr, TILE: tl.constexpr,
         CHANNELS: tl.constexpr):
    """Add up the paths on a tile per program; ``block`` is the number of blocks."""
    channel = tl.arange(0, CHANNELS)
    pixel = tl.arange(0, TILE * TILE)
    tile = tl.program_id(0)
    y = tile // columns * TILE + pixel // TILE
    x = tile % columns * TILE + pixel % TILE
    inside = (y < height) & (x < width)
    offset = y * width + x
    instead = _rim_pixel(y, x, height, width, REACH)
    total = tl.full((TILE * TILE, CHANNELS), 0.0, tl.float32)
    for path in range(PATHS):
        known = tl.load(levels + path * tiles + tile) < block
        rest = 0 if SHARED else path * (2 * REACH + 1) * (2 * REACH + 1)
        total += _computed_or_rest(source, source_rest, known, path * height * width + offset,
                                   rest + instead, inside, CHANNELS).to(tl.float32)
    tl.store(result + (offset[:, None] * CHANNELS + channel[None, :]),
             total.to(result.dtype.element_ty), mask=inside[:, None])


def run_stacks(features: torch.Tensor, masks: torch.Tensor, weights: torch.Tensor,
               biases: torch.Tensor, zeros: torch.Tensor, dilations: Sequence[int],
               stages: int = 3, tile: int = TILE) -> torch.Tensor:
    """
    Run every path's stack on the features times its mask, and add up the results.

    :param features: (N, C, H, W), channels last (else copied first), C a power of two, H and W at
        least the side of ``zeros``.
    :param masks: (N, K, H, W), in any layout, of the type of the features.
    :param weights: (2 * blocks, S, 9, C in, C out), of every convolution in turn, what ``pack``
        makes of the paths' weights; S is K, or 1 where the paths share theirs.
    :param biases: (2 * blocks, S, C).
    :param zeros: (2 * blocks + 1, S, R, R, C), the input and the result of every convolution and
        block in turn for an image of zeros, where R - 1 is twice the reach of all convolutions.
    :param dilations: of the blocks, up to ``tile``.
    :param stages: how far ahead values are copied; with 1 they pass the L1 cache.
    :param tile: side of a tile in pixels, a power of two from 4 up.
    :return: (N, C, H, W), channels last.
    :raises ValueError: other shapes, or too many values for 32-bit offsets.
    """
    n, channels, height, width = features.shape
    paths, side = masks.shape[1], zeros.shape[2]
    if (channels != biases.shape[-1] or masks.shape != (n, paths, height, width)
            or biases.shape[1] not in (1, paths) or min(height, width) < side or not masks.numel()
            or max(dilations) > tile or side != 4 * sum(dilations) + 1):
        raise ValueError(f'features {tuple(features.shape)} and masks {tuple(masks.shape)} do not '
                         f'fit weights {tuple(weights.shape)} of dilations {list(dilations)}, '
                         f'whose rim takes images from {side}x{side} up: run the reference '
                         'modules')
    check_offsets(paths * height * width * channels)
    features = features.contiguous(memory_format=torch.channels_last)
    if not (masks.is_contiguous() or masks.is_contiguous(memory_format=torch.channels_last)):
        masks = masks.contiguous()
    # not stride(): of a size of 1, PyTorch may say anything
    mask_strides = (height * width, 1) if masks.is_contiguous() else (1, paths)
    levels, order, counts = cells_by_level(masks, list(dilations), tile)
    columns, tiles = levels.shape[-1], levels[0, 0].numel()
    state, hidden = (features.new_empty((paths, height, width, channels)) for _ in range(2))
    result = torch.empty_like(features)
    shared = biases.shape[1] == 1
    sizes = (height, width, columns, tiles)
    constants = {'REACH': side // 2, 'SHARED': shared, 'TILE': tile, 'CHANNELS': channels}
    programs = min(_programs(features.device), paths * tiles)
    with on(features.device):
        for i in range(n):
            for block, dilation in enumerate(dilations):
                x = state if block else features[i]
                for skip, source, target in ((False, x, hidden), (True, hidden, state)):
                    layer = 2 * block + skip
                    _convolution[(programs,)](
                        source, zeros[layer], x, zeros[2 * block], target, masks[i],
                        weights[layer], biases[layer], levels[i], order[i], counts[i], *sizes,
                        *mask_strides, block, block == 0, skip, dilation, **constants,
                        num_warps=_WARPS, num_stages=stages)
            _sum[(tiles,)](state, zeros[-1], result[i], levels[i], *sizes, len(dilations), paths,
                           **constants, num_warps=_WARPS)
    return result


def _programs(device: torch.device) -> int:
    """Return how many programs fill the device; few without a GPU, where they run one by one."""
    if device.type != 'cuda':
        return 2
    # by their registers: at most 114 a thread in Ampere's code, 105 in Hopper's
    return 2 * torch.cuda.get_device_properties(device).multi_processor_count
