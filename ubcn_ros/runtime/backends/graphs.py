# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The loop's steps as recorded work on fixed buffers: CUDA graphs on a GPU.

Each stage of a step (derain or attend, then segment) is a graph of its own, not the whole step:
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

from ubcn_ros.network import Step
from ubcn_ros.runtime.backends.backend import (
    LoadOptions,
    Mark,
    PrecisionError,
    Size,
    WorkingSize,
    run_once,
)
from ubcn_ros.runtime.backends.eager import EagerBackend, load_eager
from ubcn_ros.runtime.backends.graph_recorder import GraphRecorder, Record, run_plainly
from ubcn_ros.runtime.backends.stages import StageFunctions
from ubcn_ros.runtime.backends.static_buffers import StaticBuffers, check
from ubcn_ros.runtime.kernels.autotune import first_line
from ubcn_ros.runtime.out_of_memory import out_of_memory, release_cached_memory
from ubcn_ros.runtime.transfer import Result

KEPT_SIZES = 8
"""
Sizes of images whose buffers and graphs are kept, the ones used last, for batches of every length
that came; a working size makes another one.
"""
Sizes = tuple[Size, WorkingSize]
"""What is prepared: work on images of a size, at a working size."""
PATIENCE = 1
"""Frames of a new size that run module by module: one that does not come again costs no more."""
RETRY = 100
"""
Frames after which a size for which memory was short is tried again, without sizes that have not
come since; after the next refusal twice as many. As long a size is kept that has come: for another
one in its place each frame would be prepared anew, where they come in turn.
"""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Strategy:
    """One way to run the steps."""

    # Its name as a backend.
    name: str
    # What is recorded.
    stages: StageFunctions
    # Records it.
    record: Record
    # Entered with the sizes while their stages run for the first time.
    preparing: Callable[[Size, WorkingSize], AbstractContextManager] = lambda *_: nullcontext()


class GraphsBackend:
    """
    The backends 'graphs' and 'compiled'.

    A size is prepared before the second frame of it, which takes from parts of a second to,
    compiled, minutes, and kept while it is among those used last. What was prepared is compared
    with the same modules called one by one. Where preparing fails or the results differ, a
    warning says why and the next strategy is taken for good; after the last, the modules are
    called one by one. Where only memory is short, they are for this size alone, until it is tried
    again, ``RETRY`` frames later: sizes that have not come since then are dropped for it.

    ``prepared`` holds the buffers of a size and a working size.

    :param eager: calls the modules one by one; its network must not wait for the device.
    :param strategies: to try, the preferred one first.
    :param progress: called with a line of text when a size is prepared.
    :param patience: frames of a new size that run module by module.
    :param sizes: how many sizes of images are kept.
    """

    def __init__(self, eager: EagerBackend, strategies: Sequence[Strategy],
                 progress: Callable[[str], None], patience: int = PATIENCE,
                 sizes: int = KEPT_SIZES) -> None:
        self.info, self.device, self.precision = eager.info, eager.device, eager.precision
        self.prepared: OrderedDict[Sizes, StaticBuffers] = OrderedDict()
        self._eager = eager
        self._current: EagerBackend | StaticBuffers = eager
        self._strategies = list(strategies)
        self._progress = progress
        self._patience, self._sizes = patience, sizes
        self._waiting: OrderedDict[Sizes, int] = OrderedDict()
        self._frames = 0
        self._crowded = False  # which has been told
        self._warming = False
        self._used: dict[Sizes, int] = {}  # the last frame of what is prepared
        # at which frame, and for how many
        self._refused: OrderedDict[Sizes, tuple[int, int]] = OrderedDict()

    @property
    def name(self) -> str:
        """Name the strategy by which new sizes are prepared; 'eager' when none works."""
        return self._strategies[0].name if self._strategies else self._eager.name

    def upload(self, images: Sequence[np.ndarray], working: WorkingSize = None) -> torch.Tensor:
        """Turn N arrays (H, W, 3) uint8 RGB into (N, 3, H, W) fp32 0..1; begins a frame."""
        sizes = (len(images), *images[0].shape[:2]), working
        self._current = self._buffers_of(sizes) or self._eager
        return self._current.upload(images, working)

    def first(self, image: torch.Tensor, mark: Mark, segment: bool = True) -> Step:
        """Derain and segment what was uploaded last."""
        return self._current.first(image, mark, segment)

    def next(self, previous: Step, mark: Mark, segment: bool = True) -> Step:
        """Attend and segment again; ``previous`` is overwritten."""
        return self._current.next(previous, mark, segment)

    def download(self, step: Step, confidence: bool, derained: bool = True, labels: bool = True
                 ) -> list[Result]:
        """Return the results; complete once the device is synchronised."""
        return self._current.download(step, confidence, derained, labels)

    def warm_up(self, size: Size, working: WorkingSize = None) -> None:
        """Run batches until these sizes are prepared."""
        self._refused.pop((size, working), None)
        self._warming = True
        try:
            for _ in range(self._patience + 1):
                run_once(self, size, working)
        finally:
            self._warming = False

    def release(self, size: Size, working: WorkingSize = None) -> None:
        """Drop the buffers and graphs of these sizes."""
        self._current = self._eager  # it may hold them
        for known in (self.prepared, self._waiting, self._used, self._refused):
            known.pop((size, working), None)

    def release_all(self) -> None:
        """Drop all buffers and graphs; what they were of counts as refused for want of memory."""
        self._current = self._eager
        self._refused |= dict.fromkeys(self.prepared, (self._frames, RETRY))
        self.prepared.clear()
        self._used.clear()

    def _buffers_of(self, sizes: Sizes) -> StaticBuffers | None:
        """Return the buffers of these sizes, or None where its frames go module by module."""
        self._frames += 1
        if sizes in self.prepared:
            self.prepared.move_to_end(sizes)
            self._used[sizes] = self._frames
            return self.prepared[sizes]
        if not self._strategies or not self._is_back(sizes):
            return None
        refused, wait = self._refused.get(sizes, (-1, 0))
        if self._frames < refused + wait:
            return None
        kept = [*dict.fromkeys(map(_of_an_image, (sizes, *reversed(self.prepared))))][:self._sizes]
        surplus = [other for other in self.prepared if _of_an_image(other) not in kept]
        if not self._warming and any(
                self._used[other] > self._frames - RETRY for other in surplus):
            if not self._crowded:
                _LOG.warning('images of more than %d sizes come in turn: those of further sizes '
                             'are processed module by module, which is slower', self._sizes)
            self._crowded = True
            return None
        self._current = self._eager  # it may hold the memory that is needed now
        for other in [*self.prepared]:
            if self._used[other] <= refused or other in surplus:
                del self.prepared[other], self._used[other]
        buffers = self._prepare(sizes)
        if buffers is not None:
            self.prepared[sizes], self._used[sizes] = buffers, self._frames
            self._refused.pop(sizes, None)
        elif self._strategies:
            self._refused[sizes] = self._frames, 2 * wait or RETRY
            if len(self._refused) > 4 * self._sizes:
                self._refused.popitem(last=False)
        return buffers

    def _is_back(self, sizes: Sizes) -> bool:
        """Return whether these sizes have come before, lately."""
        frames = self._waiting.pop(sizes, 0)
        self._waiting[sizes] = frames + 1
        if len(self._waiting) > 4 * self._sizes:
            self._waiting.popitem(last=False)
        return frames >= self._patience

    def _prepare(self, sizes: Sizes) -> StaticBuffers | None:
        size, working = sizes
        shown = f'{size[2]}x{size[1]}' + (f', {size[0]} images' if size[0] > 1 else '')
        if working:
            shown += f', processed at {working[1]}x{working[0]}'
        while self._strategies:
            strategy = self._strategies[0]
            begun = time.monotonic()
            try:
                self._progress(f'preparing {strategy.name} for {shown}')
                with strategy.preparing(*sizes):
                    buffers = StaticBuffers(size, strategy.stages, strategy.record, self.device,
                                            working, self.info.temperature)
                check(buffers, size, self._eager, working)
                self._progress(f'prepared {strategy.name} for {shown} in '
                               f'{time.monotonic() - begun:.1f} s')
                return buffers
            except PrecisionError:  # of the modules themselves
                raise
            except Exception as error:  # whatever it is: a vehicle must start
                causes = _causes(error)
            buffers = None  # its memory is needed now
            full = any(out_of_memory(cause) for cause in causes)
            if not full:
                del self._strategies[0]
            following = self._eager.name if full else self.name
            _LOG.warning("backend '%s' does not work on %s for %s: %s; going on with '%s'%s",
                         strategy.name, self.device, shown, _reason(causes), following,
                         ' for this size' if full else '')
            del causes  # what failed is held by them
            release_cached_memory()
            if full:
                break
        return None


def build(options: LoadOptions) -> GraphsBackend:
    """Build the backend 'graphs'; on a CPU it works on the same buffers without graphs."""
    eager = load_eager(options, fused=options.fused)
    strategy = Strategy('graphs', eager.stages, record_on(eager.device))
    return GraphsBackend(eager, [strategy], options.progress)


def record_on(device: torch.device) -> Record:
    """Return what records: CUDA graphs on a GPU, plain calls on a CPU."""
    return GraphRecorder(device).record if device.type == 'cuda' else run_plainly


def _of_an_image(sizes: Sizes) -> tuple[tuple[int, int], WorkingSize]:
    """Return the height and width of each image of a batch, and its working size."""
    (_, height, width), working = sizes
    return (height, width), working


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what led to it, the beginning last."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    return causes


def _reason(causes: Sequence[BaseException]) -> str:
    """Return the error, and the one that it began with: a capture reports only that it ended."""
    shown = [first_line(one) for one in (causes[0], causes[-1])]
    return shown[0] if len(causes) == 1 else f'{shown[0]} (because of {shown[1]})'
