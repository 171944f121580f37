# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The loop's steps as recorded work on fixed buffers: CUDA graphs on a GPU.

Each half of a step (derain or attend, then segment) is a graph of its own, not the whole step:
that is one more launch, a few microseconds, and buys stage times and one segmentation graph that
serves the first step and the others. The number of steps stays a loop over graphs, so it may
change from frame to frame and a deadline may end it.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ubcn_ros.network import UBCN, Step
from ubcn_ros.runtime.backends.compiled import CompileCache, compiled
from ubcn_ros.runtime.backends.eager import EagerBackend
from ubcn_ros.runtime.backends.graph_recorder import GraphRecorder, PlainRecorder, Recorder
from ubcn_ros.runtime.backends.static_buffers import Size, StageFunctions, StaticBuffers, check
from ubcn_ros.runtime.kernels.autotune import fastest_convolutions
from ubcn_ros.runtime.transfer import PlainTransfer, Result
from ubcn_ros.runtime.weights import ModelInfo

SIZES = 8
"""Sizes whose buffers and graphs are kept, the ones used last; batches of every length count."""
PATIENCE = 1
"""Frames of a new size that run module by module: one that does not come again costs no more."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Strategy:
    """
    One way to run the steps: its name as a backend, the stages, and what records them.

    ``preparing`` is entered with the size while its stages run for the first time.
    """

    name: str
    stages: StageFunctions
    recorder: Recorder
    preparing: Callable[[Size], AbstractContextManager] = lambda _: nullcontext()


class GraphsBackend:
    """
    Steps and transfer of the engine's backends 'graphs' and 'compiled'.

    A size is prepared before the second frame of it, which takes from parts of a second to,
    compiled, minutes, and kept while it is among the ``SIZES`` used last. What was prepared is
    compared with the modules called one by one. Where preparing fails or the results differ, a
    warning says why and the next way is taken for good; after the last, the modules are called
    one by one. Where only memory is short, they are for this size alone.

    :param network: prepared, on the device; its stages must not wait for the device.
    :param strategies: the strategies to try, the preferred one first.
    :param progress: called with a line of text when a size is prepared.
    """

    def __init__(self, network: UBCN, device: torch.device, strategies: Sequence[Strategy],
                 progress: Callable[[str], None] = _LOG.info) -> None:
        self.label_set = network.label_set
        self._eager = EagerBackend(network)
        self._transfer = PlainTransfer(device)
        self._stages = StageFunctions.of(network)
        self._device = device
        self._strategies = list(strategies)
        self._progress = progress
        self._prepared: OrderedDict[Size, StaticBuffers | None] = OrderedDict()
        self._buffers: StaticBuffers | None = None
        self._waiting: OrderedDict[Size, int] = OrderedDict()

    @property
    def backend(self) -> str:
        """Name of the way that new sizes are prepared by; 'eager' when none works."""
        return self._strategies[0].name if self._strategies else self._eager.backend

    def upload(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """N arrays (H, W, 3) uint8 RGB to (N, 3, H, W) fp32 0..1; begins a frame."""
        self._buffers = self._buffers_of((len(images), *images[0].shape[:2]))
        return (self._buffers or self._transfer).upload(images)

    def first(self, image: torch.Tensor, mark: Callable[[str], None]) -> Step:
        """Derain and segment what was uploaded last."""
        return self._run('derain', mark) if self._buffers else self._eager.first(image, mark)

    def next(self, image: torch.Tensor, previous: Step, mark: Callable[[str], None]) -> Step:
        """Attend and segment again; ``previous`` is overwritten."""
        if self._buffers:
            return self._run('attend', mark)
        return self._eager.next(image, previous, mark)

    def download(self, step: Step, confidence: bool) -> list[Result]:
        """Return the results; complete once the device is synchronised."""
        return (self._buffers or self._transfer).download(step, confidence)

    def modules(self) -> dict[str, nn.Module]:
        """Return what computes 'derain', 'segment' and 'attend'."""
        return self._eager.modules()

    def _run(self, stage: str, mark: Callable[[str], None]) -> Step:
        self._buffers.run(stage)
        mark(stage)
        self._buffers.run('segment')
        mark('segment')
        return self._buffers.step

    def _buffers_of(self, size: Size) -> StaticBuffers | None:
        """Return the buffers of this size, or None where its frames go module by module."""
        if size in self._prepared:
            self._prepared.move_to_end(size)
            return self._prepared[size]
        if not self._strategies or not self._is_back(size):
            return None
        self._buffers = None  # may be the one whose memory is needed now
        while len(self._prepared) >= SIZES:
            self._prepared.popitem(last=False)
        self._prepared[size] = self._prepare(size)
        return self._prepared[size]

    def _is_back(self, size: Size) -> bool:
        """Whether this size has come before, lately."""
        frames = self._waiting.pop(size, 0)
        self._waiting[size] = frames + 1
        if len(self._waiting) > 4 * SIZES:
            self._waiting.popitem(last=False)
        return frames >= PATIENCE

    def _prepare(self, size: Size) -> StaticBuffers | None:
        shown = f'{size[2]}x{size[1]}' + (f', {size[0]} images' if size[0] > 1 else '')
        while self._strategies:
            strategy = self._strategies[0]
            begun = time.monotonic()
            try:
                self._progress(f'preparing {strategy.name} for {shown}')
                with strategy.preparing(size), fastest_convolutions(self._device):
                    buffers = StaticBuffers(size, strategy.stages, strategy.recorder, self._device)
                check(buffers, size, self._stages)
                self._progress(f'prepared {strategy.name} for {shown} in '
                               f'{time.monotonic() - begun:.1f} s')
                return buffers
            except Exception as error:  # whatever it is: a vehicle must start
                causes = _causes(error)
            buffers = None  # its memory is needed now
            full = any(isinstance(cause, torch.OutOfMemoryError) for cause in causes)
            if not full:
                del self._strategies[0]
            following = EagerBackend.backend if full else self.backend
            _LOG.warning("backend '%s' does not work on %s for %s: %s; going on with '%s'%s",
                         strategy.name, self._device, shown, _reason(causes), following,
                         ' for this size' if full else '')
            del causes  # what failed is held by them
            if self._device.type == 'cuda':
                torch.cuda.empty_cache()
            if full:
                break
        return None


def graph_steps(network: UBCN, device: torch.device,
                progress: Callable[[str], None] = _LOG.info) -> GraphsBackend:
    """
    Return the steps of the backend 'graphs'.

    On a CPU they work on the same fixed buffers without graphs.

    :param network: prepared, on the device.
    :param progress: called with lines of text while a size is prepared.
    """
    strategy = Strategy('graphs', StageFunctions.of(network), recorder_of(device))
    return GraphsBackend(network, device, [strategy], progress)


def compiled_steps(network: UBCN, info: ModelInfo, device: torch.device, precision: str,
                   progress: Callable[[str], None] = _LOG.info) -> GraphsBackend:
    """
    Return the steps of the backend 'compiled'; where compiling fails, those of 'graphs'.

    :param network, device, progress: as for ``graph_steps``.
    :param info, precision: which weights in which precision; the compiled code is kept by them.
    """
    stages, recorder = StageFunctions.of(network), recorder_of(device)
    cache = CompileCache(info, device, precision, progress)
    strategies = [Strategy('compiled', compiled(stages, progress), recorder, cache.used),
                  Strategy('graphs', stages, recorder)]
    return GraphsBackend(network, device, strategies, progress)


def recorder_of(device: torch.device) -> Recorder:
    """CUDA graphs on a GPU, plain calls on a CPU."""
    return GraphRecorder(device) if device.type == 'cuda' else PlainRecorder()


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what led to it, the beginning last."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    return causes


def _reason(causes: Sequence[BaseException]) -> str:
    """Return the error, and the one that it began with: a capture reports only that it ended."""
    shown = [f'{type(one).__name__}: {next(iter(str(one).strip().splitlines()), "")}'
             for one in (causes[0], causes[-1])]
    return shown[0] if len(causes) == 1 else f'{shown[0]} (because of {shown[1]})'
