# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SAM's stacks computed only where a path's mask is not zero: the same results for less work.

Where a path's mask is zero, its stack sees zeros and answers with what its biases alone give. How
far from the mask a result can differ from that grows by one dilation per convolution. So the image
is cut into square cells, and every block runs on the cells that its path can have reached by then;
what they see of other cells is the answer to zeros, worked out once on a small image of zeros
(it is constant but for a rim, where the padding of the image's border is felt).

The list of cells depends on the data, and its length is read by the host, which a CUDA graph
cannot capture: this is for CPUs, ``kernels.fused_stacks`` for GPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.network.attention import SAM, PathStacks
from ubcn_ros.runtime.kernels.swap import is_plain

CELL = 16
"""
Side of a cell, pixels of the features: small cells follow a mask closer. On a GPU the tiles of
``kernels/triton_stacks`` stand for the same.
"""
_CHUNK_BYTES = 2 ** 20
"""Size of what one convolution call reads, so that it stays in a core's cache."""
_OUTSIDE = 0
"""Slot of the pool that holds the zeros around the image."""


def sparsify(network: nn.Module) -> int:
    """
    Replace the stacks of every SAM whose masks have zeros by their sparse form, in place.

    The weights are shared. Others stay as they are, see ``has_idle_cells``.

    :param network: in evaluation mode, its weights final.
    :return: how many were replaced.
    """
    found = [module for module in network.modules() if has_idle_cells(module)]
    for sam in found:
        sam.path_mixer = SparseStacks(sam.path_mixer)
    return len(found)


def has_idle_cells(module: nn.Module) -> bool:
    """
    Return whether a module is a SAM whose stacks have cells to leave out.

    Not so the trunk form, nor a SAM without a threshold, as in all recipes here: its masks have
    hardly a zero, so that cells would only cost. A recipe trains one with it by ``model:
    {overrides: {attention: {path_threshold: 0.02}}}``. Without a block there is no work, and
    cells see no further than their neighbours, which a larger dilation would.
    """
    return (isinstance(module, SAM) and module.config.has_zeros
            and is_plain(module.path_mixer, PathStacks)
            and max((block.conv1.dilation[0] for block in module.path_mixer.stacks[0]),
                    default=CELL + 1) <= CELL)


class SparseStacks(nn.Module):
    """
    ``PathStacks`` for inference, at a cost that falls with the masks' zeros.

    Equal to the reference within rounding for any masks. Without zeros in the masks it does the
    work of the reference.

    :param reference: whose stacks are used.
    :param cell: side of a cell in pixels, even, at least the largest dilation.
    :raises ValueError: the cell does not fit.
    """

    def __init__(self, reference: PathStacks, cell: int = CELL) -> None:
        super().__init__()
        self.stacks = reference.stacks
        self.cell = cell
        largest = max(block.conv1.dilation[0] for block in reference.stacks[0])
        if cell % 2 or cell < largest:
            raise ValueError(f'cell is {cell}: choose an even number from {largest}, the largest '
                             'dilation, up')

    @torch.no_grad()
    def forward(self, features: torch.Tensor, paths: torch.Tensor) -> torch.Tensor:
        """Turn (N, C, H, W) features and (N, K, H, W) path weights into (N, C, H, W)."""
        size, cell = features.shape[-2:], self.cell
        levels = reached(paths, [b.conv1.dilation[0] for b in self.stacks[0]], cell)
        pixels = cells_of(features, cell)
        masks = cells_of(paths[:, :, None].flatten(0, 1), cell).unflatten(0, paths.shape[:2])
        total = torch.zeros_like(pixels)
        count = paths.shape[1]
        shares = [range(count)] if len(self.stacks) == 1 else [[k] for k in range(count)]
        for stack, share in zip(self.stacks, shares, strict=True):
            zeros = ZeroResponse.of(stack, features, cell)
            resting = (levels[:, share] == len(stack)).sum(1)
            total += resting[..., None, None, None] * zeros.layers[-1][zeros.kinds]
            for k in share:
                for n in range(len(features)):
                    run_plane(stack, zeros, size, pixels[n], masks[n, k], levels[n, k], total[n])
        return image_of(total, size)


def reached(paths: torch.Tensor, dilations: list[int], cell: int) -> torch.Tensor:
    """
    Find the first block whose result can differ from the answer to zeros, per path and cell.

    :param paths: (N, K, H, W) weights.
    :param dilations: of the blocks, two convolutions each.
    :return: (N, K, rows, columns) int64, up to the number of blocks for cells never reached.
    """
    height, width = paths.shape[-2:]
    there = F.pad((paths != 0).float(), (0, -width % cell, 0, -height % cell))
    there = F.max_pool2d(there, 2)  # all reaches are even
    unreached, reach, half_cell = 0, 0, cell // 2
    for dilation in dilations:
        reach += dilation
        window = half_cell + 2 * reach
        near = F.max_pool2d(there, (1, window), (1, half_cell), (0, reach))
        unreached = unreached + (F.max_pool2d(near, (window, 1), (half_cell, 1), (reach, 0)) == 0)
    return unreached


def cells_by_level(paths: torch.Tensor, dilations: list[int], cell: int
                   ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Sort the cells of every image's paths by what ``reached`` finds, without a wait for the device.

    :param paths, dilations: as in ``reached``.
    :return: the levels, (N, K, rows, columns); the places of the cells in these, (N, K * rows *
        columns), in the order of their levels; how many of them each block needs, (N, blocks).
        All int32.
    """
    levels = reached(paths, dilations, cell).to(torch.int32).contiguous()
    found, order = levels.flatten(1).sort(dim=1, stable=True)
    blocks = torch.arange(len(dilations), dtype=torch.int32, device=paths.device)
    counts = torch.searchsorted(found, blocks.repeat(len(paths), 1), right=True, out_int32=True)
    return levels, order.to(torch.int32), counts


def cells_of(image: torch.Tensor, cell: int) -> torch.Tensor:
    """Cut (N, C, H, W) into (N, rows, columns, cell, cell, C); zeros fill up the ends."""
    height, width = image.shape[-2:]
    image = F.pad(image.permute(0, 2, 3, 1), (0, 0, 0, -width % cell, 0, -height % cell))
    n, height, width, channels = image.shape
    image = image.reshape(n, height // cell, cell, width // cell, cell, channels)
    return image.transpose(2, 3).contiguous()


def image_of(cells: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Undo ``cells_of``, cut to ``size`` (H, W), channels last in memory."""
    image = cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return image[:, :size[0], :size[1]].contiguous().permute(0, 3, 1, 2)


def rim(length: int, reach: int, cell: int) -> tuple[torch.Tensor, int]:
    """
    Shorten an axis to the cells that the border can reach, and one for all in between.

    :param length, reach: pixels.
    :return: for every cell of the axis, which cell of the short axis stands for it; the length
        of the short axis in pixels.
    """
    count = -(-length // cell)
    head = -(-reach // cell)
    tail = count - max(length - reach, 0) // cell
    index = torch.arange(count, device='cpu')
    left_out = max(count - head - tail - 1, 0)
    short = torch.where(index >= count - tail, index - left_out, index.clamp(max=head))
    return (short, length - left_out * cell) if left_out else (index, length)


def layers_of(stack: nn.Sequential, x: torch.Tensor) -> list[torch.Tensor]:
    """Return the input and the result of every convolution and block in turn, as ``x``."""
    layers = [x]
    for block in stack:
        hidden = _convolve_padded(block.conv1, x)
        x = x + _convolve_padded(block.conv2, hidden)
        layers += [hidden, x]
    return layers


def _convolve_padded(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Compute relu(conv(x)) on the device and in the type of ``x``."""
    return F.relu(F.conv2d(x, conv.weight.to(x), conv.bias.to(x), 1, conv.padding, conv.dilation))


@dataclass(frozen=True)
class ZeroResponse:
    """What a stack answers to zeros."""

    # Input and result of every convolution and block in turn, (cells, cell, cell, C) each.
    layers: list[torch.Tensor]
    # Which of these cells stands for a cell of the image, (rows, columns).
    kinds: torch.Tensor

    @classmethod
    def of(cls, stack: nn.Sequential, like: torch.Tensor, cell: int) -> ZeroResponse:
        """Work out the answer of that stack for features of that size, type and place."""
        reach = sum(2 * block.conv1.dilation[0] for block in stack)
        rows, height = rim(like.shape[-2], reach, cell)
        columns, width = rim(like.shape[-1], reach, cell)
        layers = layers_of(stack, like.new_zeros((1, like.shape[1], height, width)))
        kinds = rows[:, None] * (int(columns[-1]) + 1) + columns
        return cls([cells_of(layer, cell).flatten(0, 2) for layer in layers],
                   kinds.to(like.device))


def run_plane(stack: nn.Sequential, zeros: ZeroResponse, size: tuple[int, int],
              pixels: torch.Tensor, mask: torch.Tensor, levels: torch.Tensor,
              total: torch.Tensor) -> None:
    """
    Add one path's result for one image to ``total``.

    The path's cells live in a pool: slot 0 is outside the image, then come the cells that the
    answer to zeros has, then the path's own in the order in which they are reached, so that every
    block works on a beginning of the pool.

    :param size: H, W of the image.
    :param pixels, total: (rows, columns, cell, cell, C).
    :param mask: (rows, columns, cell, cell, 1).
    :param levels: of ``reached``, (rows, columns).
    """
    rows, columns, cell, _, channels = pixels.shape
    ours = 1 + len(zeros.layers[0])
    order = levels.flatten().argsort(stable=True)
    counts = torch.bincount(levels.flatten(), minlength=len(stack) + 1).cumsum(0)[:-1].tolist()
    order = order[:counts[-1]]

    pool = pixels.new_empty((ours + len(order), cell, cell, channels))
    hidden = torch.empty_like(pool)
    pool[_OUTSIDE], hidden[_OUTSIDE] = 0, 0
    pool[ours:] = pixels.flatten(0, 1)[order].mul_(mask.flatten(0, 1)[order])
    kinds = 1 + zeros.kinds
    slots = kinds.flatten().clone()
    slots[order] = torch.arange(ours, len(pool), device=slots.device)
    around = _around(slots.view(rows, columns))[order]
    kinds_around = _around(kinds)[order]
    own_kinds = kinds.flatten()[order]
    below = ours + (order >= (rows - 1) * columns).nonzero()[:, 0]
    beside = ours + (order % columns == columns - 1).nonzero()[:, 0]

    before = counts[0]
    for i, block in enumerate(stack):
        now = counts[i]
        pool[1:ours], hidden[1:ours] = zeros.layers[2 * i:2 * i + 2]
        pool[ours + before:ours + now] = pool[own_kinds[before:now]]
        seen = torch.where(around[:now] < ours + now, around[:now], kinds_around[:now])
        _convolve(block.conv1, pool, seen, ours, _set_relu, hidden)
        _clear(hidden, size, below, beside)
        _convolve(block.conv2, hidden, seen, ours, _add_relu, pool)
        _clear(pool, size, below, beside)
        before = now

    total.flatten(0, 1).index_add_(0, order, pool[ours:])


def _around(slots: torch.Tensor) -> torch.Tensor:
    """Return, of (rows, columns) slots, a cell's and its neighbours', (rows * columns, 9)."""
    slots = F.pad(slots, (1, 1, 1, 1), value=_OUTSIDE)
    return slots.unfold(0, 3, 1).unfold(1, 3, 1).reshape(-1, 9)


def _convolve(conv: nn.Conv2d, source: torch.Tensor, around: torch.Tensor, first: int,
              put: Callable[[torch.Tensor, torch.Tensor], object], target: torch.Tensor) -> None:
    """
    Run a convolution on the cells from slot ``first`` on, a few at a time.

    :param source, target: pools, (slots, cell, cell, C).
    :param around: slots of every such cell and its neighbours, (cells, 9).
    :param put: called with results, (cells, cell, cell, C), and the target's part for them.
    """
    _, cell, _, channels = source.shape
    dilation = conv.dilation[0]
    position = torch.arange(-dilation, cell + dilation, device=source.device)
    side, inside = position.div(cell, rounding_mode='floor') + 1, position % cell
    neighbour = (side[:, None] * 3 + side).flatten()
    pixel = (inside[:, None] * cell + inside).flatten()
    rows = source.view(-1, channels)
    window = len(position)
    count = max(1, _CHUNK_BYTES // (window ** 2 * channels * source.element_size()))
    for start in range(0, len(around), count):
        part = around[start:start + count]
        index = part.index_select(1, neighbour) * cell ** 2 + pixel
        view = rows.index_select(0, index.flatten()).view(len(part), window, window, channels)
        result = F.conv2d(view.permute(0, 3, 1, 2), conv.weight, conv.bias, 1, 0, dilation)
        put(result.permute(0, 2, 3, 1), target[first + start:first + start + len(part)])


def _set_relu(result: torch.Tensor, target: torch.Tensor) -> None:
    torch.clamp_min(result, 0, out=target)


def _add_relu(result: torch.Tensor, target: torch.Tensor) -> None:
    target.add_(result.relu_())


def _clear(pool: torch.Tensor, size: tuple[int, int], below: torch.Tensor, beside: torch.Tensor
           ) -> None:
    """Zero what lies outside the image in the cells of its last row and column."""
    cell = pool.shape[1]
    height, width = size[0] % cell, size[1] % cell
    if height:
        pool[below, height:] = 0
    if width:
        pool[beside, :, width:] = 0
