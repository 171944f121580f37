# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of several ways to compute the same runs: the plain one, or a faster that agrees."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import torch
from torch import nn

from ubcn_ros.network.blocks import exporting
from ubcn_ros.runtime import triton_residual
from ubcn_ros.runtime.triton_residual import PLAIN

Run = Callable[..., torch.Tensor]
"""Features, and tensors that go with them, to a result."""
_LOG = logging.getLogger(__name__)


def applies(x: torch.Tensor, *parts: nn.Module) -> bool:
    """
    Whether ``x`` may be computed by anything but the plain modules.

    Not for gradients, nor where the modules are traced or compiled or somebody watches ``parts``
    of them by hooks: the roofline counts their work.
    """
    if exporting() or torch.compiler.is_compiling():
        return False
    learning = torch.is_grad_enabled() and (
        x.requires_grad or any(p.requires_grad for part in parts for p in part.parameters()))
    watched = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    return not (learning or watched)


class Choices:
    """
    What runs for every kind of work, decided at the first use of a kind and kept.

    :param device: type of the devices on which forms are tried.
    :param dtypes: types of features for which they are.
    """

    def __init__(self, device: str = 'cuda',
                 dtypes: tuple[torch.dtype, ...] = (torch.float16, torch.bfloat16)) -> None:
        self._device = device
        self._dtypes = dtypes
        self.chosen: dict[tuple[object, ...], str] = {}

    def takes(self, x: torch.Tensor) -> bool:
        """Whether a tensor is of a device and type on which forms are tried."""
        return x.device.type == self._device and x.dtype in self._dtypes

    def run(self, kind: tuple[object, ...], title: str, plain: Run, forms: Mapping[str, Run],
            x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """
        Run on ``x`` and what goes with it what is fastest there, ``plain`` if that fails.

        :param kind: what the choice depends on beside the device, the type, and the order of
            magnitude (power of two) of the number of pixels.
        :param title: what runs, for the log.
        :param forms: the other ways, by name.
        """
        pixels = x.numel() // max(1, x.shape[1])
        key = (*kind, x.device, x.dtype, *(other.dtype for other in others), pixels.bit_length())
        if key not in self.chosen:
            if x.is_cuda and torch.cuda.is_current_stream_capturing():
                return plain(x, *others)  # a graph cannot wait for the device
            self.chosen[key] = _fastest(title, plain, forms, x, others)
        name = self.chosen[key]
        if name != PLAIN:
            try:
                return forms[name](x, *others)
            except Exception as error:  # whatever it is, the frame can be had without it
                self.chosen[key] = PLAIN
                _LOG.warning('%s: %s failed, plain modules from now on: %s', title, name,
                             triton_residual.reason(error))
        return plain(x, *others)


SHARED = Choices()
"""Of this process: engines in it round alike, and a second one need not time anything again."""


def _fastest(title: str, plain: Run, forms: Mapping[str, Run], x: torch.Tensor,
             others: tuple[torch.Tensor, ...]) -> str:
    """Name of the fastest that agrees with ``plain`` on random values, or 'plain'."""
    try:
        generator = torch.Generator(x.device)
        generator.seed()
        # a first frame's own values may be all alike, and hide what is wrong
        random = [torch.empty_like(other).uniform_(generator=generator) for other in others]

        def with_random(run: Run) -> Callable[[torch.Tensor], torch.Tensor]:
            return lambda features: run(features, *random)
        return triton_residual.fastest(
            with_random(plain), {name: with_random(run) for name, run in forms.items()}, x, title)
    except Exception as error:  # no memory for several results, say
        _LOG.warning('%s: plain modules, nothing else could be tried: %s', title,
                     triton_residual.reason(error))
        return PLAIN
