# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bilinear resizing of features on a GPU: PyTorch's own, or a kernel of ours where faster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from ubcn_ros.network.attention import SAM
from ubcn_ros.network.segmentation.ddrnet import DAPPM, DDRNet23Slim
from ubcn_ros.network.veil import Veil
from ubcn_ros.network.veil_field import VeilField
from ubcn_ros.runtime.kernels.autotune import Autotuner, applies
from ubcn_ros.runtime.kernels.swap import load_kernel

Resize = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
"""Resize (N, C, h, w) to (N, C, *size), (H, W)."""
LARGE = 2 ** 14
"""Pixels of the result from which our kernel is tried."""
_RESIZING = (SAM, DAPPM, DDRNet23Slim, Veil, VeilField)


class FusedResize:
    """
    Resizes features that are channels last by what is fastest, all else by ``reference``.

    :param reference: of the network.
    :param candidate: ``triton_resize.resize``.
    """

    def __init__(self, reference: Resize, autotuner: Autotuner, candidate: Resize) -> None:
        self.reference = reference
        self._autotuner, self._candidate = autotuner, candidate

    def __call__(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Resize (N, C, h, w) to (N, C, *size), (H, W)."""
        if not (self._autotuner.supports(x) and applies(x)):
            return self.reference(x, size)
        size = tuple(size)
        pixels = len(x) * size[0] * size[1]
        if pixels < LARGE or not x.is_contiguous(memory_format=torch.channels_last):
            return self.reference(x, size)
        return self._autotuner.run(
            ('resize', x.shape[1], pixels.bit_length()), f'resizing of {x.shape[1]} channels',
            partial(_of_size, self.reference, size),
            {'Triton': partial(_of_size, self._candidate, size)}, x)


def _of_size(resize: Resize, size: tuple[int, int], x: torch.Tensor) -> torch.Tensor:
    return resize(x, size)


def fuse_resizes(network: nn.Module, autotuner: Autotuner,
                 candidate: Resize | None = None) -> int:
    """
    Let the parts of a prepared network resize by the fused form, in place.

    Without Triton, nothing is changed.

    :param candidate: by default the kernel of ``triton_resize``.
    :return: how many parts do.
    """
    found = [module for module in network.modules() if isinstance(module, _RESIZING)]
    if candidate is None and found:
        kernel = load_kernel('triton_resize')
        candidate = kernel and kernel.resize
    if candidate is None:
        return 0
    for module in found:
        if not isinstance(module.resize, FusedResize):
            module.resize = FusedResize(module.resize, autotuner, candidate)
    return len(found)
