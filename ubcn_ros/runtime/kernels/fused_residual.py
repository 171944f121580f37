# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RES of a prepared network by Triton's kernels, where they are there, right, and faster.

The plain module stays the reference and the way back: a form is used only after it agreed with
it on random features and took less time, on the very device, at the size of the first frame.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from ubcn_ros.network.blocks import RES
from ubcn_ros.runtime.kernels.autotune import SHARED, Choices, applies, reason
from ubcn_ros.runtime.kernels.launch import pack

CHANNELS = 32
"""Channels of the blocks that the kernels compute."""
Form = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int],
                torch.Tensor]
"""Features, packed weights and bias of both convolutions, dilation; see ``triton_residual``."""
_LOG = logging.getLogger(__name__)


def triton_forms() -> dict[str, Form]:
    """
    Return RES in Triton, by name.

    :raises ImportError: Triton is missing.
    """
    from ubcn_ros.runtime.kernels.triton_residual import one_kernel, two_kernels
    return {'one kernel': one_kernel, 'two kernels': two_kernels}


class TritonRES(RES):
    """
    A trained RES, (N, 32, H, W) to the same, by what is fastest.

    For inference: takes the weights as they are now. Wherever the forms do not apply (another
    device or type, gradients, tracing, compilation) the plain modules run.

    :param forms: by name, as of ``triton_forms``.
    :raises ValueError: a block of another number of channels.
    """

    def __init__(self, block: RES, choices: Choices, forms: Mapping[str, Form]) -> None:
        nn.Module.__init__(self)  # with the block's convolutions, not with new ones
        if block.conv1.in_channels != CHANNELS:
            raise ValueError(f'RES of {block.conv1.in_channels} channels: the kernels compute '
                             f'{CHANNELS}; leave it as it is')
        self.conv1, self.conv2 = block.conv1, block.conv2
        self.register_buffer('packed1', pack(block.conv1.weight), persistent=False)
        self.register_buffer('packed2', pack(block.conv2.weight), persistent=False)
        self._choices, self._forms = choices, dict(forms)
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not (self._choices.takes(x) and applies(x, self.conv1, self.conv2)):
            return self.plain(x)
        dilation = self.conv1.dilation[0]
        runs = {name: partial(self.run, form) for name, form in self._forms.items()}
        return self._choices.run(('RES', dilation), f'RES, dilation {dilation}', self.plain, runs,
                                 x)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Run the plain modules."""
        return super().forward(x)

    def run(self, form: Form, x: torch.Tensor) -> torch.Tensor:
        """Run a form with this block's weights."""
        return form(x, self.packed1, self.conv1.bias, self.packed2, self.conv2.bias,
                    self.conv1.dilation[0])


def fuse_residual_blocks(network: nn.Module, choices: Choices | None = None,
                         forms: Mapping[str, Form] | None = None) -> int:
    """
    Replace every RES of 32 channels in a prepared network by a TritonRES, in place.

    Without Triton, nothing is replaced and the log says why.

    :param network: on its device and in its precision; on a GPU in half precision unless the
        choices are for others.
    :param forms: ``triton_forms`` by default.
    :return: how many were replaced.
    """
    choices = choices or SHARED
    found = [(parent, name, child) for parent in network.modules()
             for name, child in parent.named_children()
             if type(child) is RES and child.conv1.in_channels == CHANNELS]
    if not found:
        return 0
    try:
        forms = triton_forms() if forms is None else forms
    except Exception as error:  # a broken Triton raises more than ImportError
        _LOG.warning('RES by plain modules, no Triton: %s', reason(error))
        return 0
    taken = [place for place in found if choices.takes(place[2].conv1.weight)]
    for parent, name, child in taken:
        setattr(parent, name, TritonRES(child, choices, forms))
    return len(taken)
