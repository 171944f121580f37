# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RES of a prepared network by Triton's kernels, where they are there, right, and faster.

The plain module stays the reference and the way back: a form is used only after it agreed with
it on random features and took less time, on the very device, at the size of the first frame.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from ubcn_ros.network.blocks import RES, exporting

CHANNELS = 32
"""Channels of the blocks that the kernels compute."""
PLAIN = 'plain'
Form = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int],
                torch.Tensor]
"""Features, packed weights and bias of both convolutions, dilation; see ``residual_kernel``."""
_LOG = logging.getLogger(__name__)
_WARM_UPS, _ROUNDS, _RUNS = 2, 5, 4
_HEAD_START_CYCLES = 4_000_000  # some 2 ms, in which the launches queue up


def triton_forms() -> dict[str, Form]:
    """
    Return RES in Triton, by name.

    :raises ImportError: Triton is missing.
    """
    from ubcn_ros.runtime.residual_kernel import one_kernel, two_kernels
    return {'one kernel': one_kernel, 'two kernels': two_kernels}


def pack(conv: nn.Conv2d) -> torch.Tensor:
    """Weights of a 3x3 convolution as the kernels read them, (9 taps, in, out)."""
    outputs, inputs = conv.weight.shape[:2]
    return conv.weight.detach().permute(2, 3, 1, 0).reshape(9, inputs, outputs).contiguous()


class Chooser:
    """
    Which form of RES runs, decided at the first use and kept.

    Decided anew for another device, type, dilation, and order of magnitude (power of two) of the
    number of pixels.

    :param forms: by name; ``triton_forms`` by default.
    :param device: type of the devices on which forms are tried.
    :param dtypes: types of features for which they are.
    :raises ImportError: Triton is missing.
    """

    def __init__(self, forms: Mapping[str, Form] | None = None, device: str = 'cuda',
                 dtypes: tuple[torch.dtype, ...] = (torch.float16, torch.bfloat16)) -> None:
        self.forms = triton_forms() if forms is None else forms
        self._device = device
        self._dtypes = dtypes
        self.chosen: dict[tuple[object, ...], str] = {}

    def takes(self, x: torch.Tensor) -> bool:
        """Whether a tensor is of a device and type on which forms are tried."""
        return x.device.type == self._device and x.dtype in self._dtypes

    def __call__(self, block: TritonRES, x: torch.Tensor) -> torch.Tensor:
        """Run the block on ``x`` by what is fastest there, by the plain modules if that fails."""
        dilation = block.conv1.dilation[0]
        key = (x.device, x.dtype, dilation, (x.numel() // CHANNELS).bit_length())
        if key not in self.chosen:
            if x.is_cuda and torch.cuda.is_current_stream_capturing():
                return block.plain(x)  # a graph cannot wait for the device
            fused = {name: partial(block.run, form) for name, form in self.forms.items()}
            self.chosen[key] = fastest(block.plain, fused, x, f'RES, dilation {dilation}')
        name = self.chosen[key]
        if name != PLAIN:
            try:
                return block.run(self.forms[name], x)
            except Exception as error:  # whatever it is, the frame can be had without it
                self.chosen[key] = PLAIN
                _LOG.warning('RES, dilation %d: %s failed, plain modules from now on: %s',
                             dilation, name, reason(error))
        return block.plain(x)


class TritonRES(RES):
    """
    A trained RES, (N, 32, H, W) to the same, by what its chooser finds fastest.

    For inference: takes the weights as they are now. Wherever the forms do not apply (another
    device or type, gradients, tracing, compilation) the plain modules run.

    :raises ValueError: a block of another number of channels.
    """

    def __init__(self, block: RES, chooser: Chooser) -> None:
        nn.Module.__init__(self)  # with the block's convolutions, not with new ones
        if block.conv1.in_channels != CHANNELS:
            raise ValueError(f'RES of {block.conv1.in_channels} channels: the kernels compute '
                             f'{CHANNELS}; leave it as it is')
        self.conv1, self.conv2 = block.conv1, block.conv2
        self.register_buffer('packed1', pack(block.conv1), persistent=False)
        self.register_buffer('packed2', pack(block.conv2), persistent=False)
        self._chooser = chooser
        self.train(block.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        learning = torch.is_grad_enabled() and (x.requires_grad or self.conv1.weight.requires_grad)
        # whoever watches the convolutions (the roofline counts their work) wants them to run
        watched = any(conv._forward_hooks or conv._forward_pre_hooks
                      for conv in (self.conv1, self.conv2))
        if (learning or watched or exporting() or torch.compiler.is_compiling()
                or not self._chooser.takes(x)):
            return self.plain(x)
        return self._chooser(self, x)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Run the plain modules."""
        return super().forward(x)

    def run(self, form: Form, x: torch.Tensor) -> torch.Tensor:
        """Run a form with this block's weights."""
        return form(x, self.packed1, self.conv1.bias, self.packed2, self.conv2.bias,
                    self.conv1.dilation[0])


def fuse_residual_blocks(network: nn.Module, chooser: Chooser | None = None) -> int:
    """
    Replace every RES of 32 channels in a prepared network by a TritonRES, in place.

    Without Triton, nothing is replaced and the log says why.

    :param network: on its device and in its precision; on a GPU in half precision unless the
        chooser tries others.
    :param chooser: shared by the blocks; by default one that tries Triton's forms.
    :return: how many were replaced.
    """
    found = [(parent, name, child) for parent in network.modules()
             for name, child in parent.named_children()
             if type(child) is RES and child.conv1.in_channels == CHANNELS]
    if not found:
        return 0
    try:
        chooser = chooser or Chooser()
    except Exception as error:  # a broken Triton raises more than ImportError
        _LOG.warning('RES by plain modules, no Triton: %s', reason(error))
        return 0
    replaced = 0
    for parent, name, child in found:
        if chooser.takes(child.conv1.weight):
            setattr(parent, name, TritonRES(child, chooser))
            replaced += 1
    return replaced


@torch.inference_mode()
def fastest(plain: Callable[[torch.Tensor], torch.Tensor],
            fused: Mapping[str, Callable[[torch.Tensor], torch.Tensor]], example: torch.Tensor,
            title: str = 'RES') -> str:
    """
    Find the fastest of several ways to compute the same, on the device of ``example``.

    :param plain: the reference, kept unless another one agrees with it and is faster.
    :param fused: the others, by name. One that raises, or whose result on random features
        differs by more than rounding, is left out, with a line in the log.
    :param example: features, whose shape, layout and type are timed (on random values: zeros are
        faster on some devices).
    :param title: what is timed, for the log.
    :return: a name from ``fused``, or 'plain'.
    """
    generator = torch.Generator(example.device)
    generator.seed()
    runs = {PLAIN: plain}
    for name, run in fused.items():
        try:
            # fresh values each time, so that no memory still holds the right answer
            features = torch.empty_like(example).normal_(generator=generator)
            _spoil(plain(features))
            features.normal_(generator=generator)
            _check(run(features), plain(features))
            runs[name] = run
        except Exception as error:
            _LOG.warning('%s: %s is left out: %s', title, name, reason(error))
    if len(runs) == 1:
        return PLAIN
    features = torch.empty_like(example).normal_(generator=generator)
    times: dict[str, list[float]] = {name: [] for name in runs}
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True  # as a graph's convolutions are chosen
    try:
        for run in runs.values():
            _seconds(run, features, _WARM_UPS)
        for _ in range(_ROUNDS):  # in turns, so that a change of clocks hits all
            for name, run in runs.items():
                times[name].append(_seconds(run, features, _RUNS))
    finally:
        torch.backends.cudnn.benchmark = before
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    best = min(medians, key=medians.get)
    _LOG.info('%s, %s %s: %s of %s', title, tuple(example.shape), example.dtype, best,
              ', '.join(f'{name} {1e3 * median:.3f} ms' for name, median in medians.items()))
    return best


def _spoil(like: torch.Tensor) -> None:
    """
    Leave NaN in the freed memory that a result of that size is likely put into.

    A form that reads it before it writes is so found out: times zero it would do no harm
    otherwise, until it does. ``like`` is the caller's last use of it.
    """
    freed = [torch.full_like(like, float('nan')) for _ in range(2)]
    like.fill_(float('nan'))
    del freed


def _check(result: torch.Tensor, reference: torch.Tensor) -> None:
    """Raise ValueError unless they agree within the roundings that their type makes."""
    if result.shape != reference.shape or result.dtype != reference.dtype:
        raise ValueError(f'gives {tuple(result.shape)} {result.dtype} where the plain modules '
                         f'give {tuple(reference.shape)} {reference.dtype}')
    difference = (result.float() - reference.float()).abs_()
    magnitude = reference.float().abs_()
    allowed = magnitude.add_(magnitude.square().mean().sqrt()).mul_(
        16 * torch.finfo(reference.dtype).eps)
    wrong = int((difference <= allowed).logical_not_().sum())  # NaN is wrong, too
    if wrong:
        raise ValueError(f'{wrong} of {difference.numel()} values differ from the plain modules, '
                         f'by up to {float(difference.max()):.3g}')


def _seconds(run: Callable[[torch.Tensor], torch.Tensor], features: torch.Tensor, times: int
             ) -> float:
    """Seconds per run; on a GPU the GPU's alone, for a graph launches at no cost."""
    if features.device.type == 'cuda':
        with torch.cuda.device(features.device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda._sleep(_HEAD_START_CYCLES)
            start.record()
            for _ in range(times):
                run(features)
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3 / times
    start = time.perf_counter()
    for _ in range(times):
        run(features)
    return (time.perf_counter() - start) / times


def reason(error: Exception) -> str:
    """Return one line; compilers write pages."""
    text = str(error).strip()
    return f'{type(error).__name__}: {text.splitlines()[0]}' if text else type(error).__name__
