# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frame processor: a trained network behind uint8 arrays."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from ubcn_ros.network import RainEstimate, Step
from ubcn_ros.network.rain_estimate import rain_of
from ubcn_ros.runtime.backends.backend import Backend, LoadOptions, build_backend
from ubcn_ros.runtime.budget import StepBudget
from ubcn_ros.runtime.checks import check_batch, check_number
from ubcn_ros.runtime.confidence import check_min_confidence, leave_unlabeled
from ubcn_ros.runtime.convergence import Loop, check_convergence
from ubcn_ros.runtime.device import resolve_device
from ubcn_ros.runtime.installed import DEFAULT_MODEL
from ubcn_ros.runtime.model_info import PARTS
from ubcn_ros.runtime.owner import Owner
from ubcn_ros.runtime.processing import (
    TRAINED,
    check_processing_size,
    short_side,
    working_size,
)
from ubcn_ros.runtime.stopwatch import Stopwatch

_SIZES = 16
_LOG = logging.getLogger(__name__)
P, R = ParamSpec('P'), TypeVar('R')


@dataclass(frozen=True, eq=False)  # arrays have no equality of their own
class Frame:
    """Results for one image."""

    # (H, W, 3) uint8 RGB; None when it was not asked for.
    derained: np.ndarray | None
    # (H, W) uint8 class ids; 255, unlabeled, where the confidence is below ``min_confidence``;
    # None when they were not asked for.
    labels: np.ndarray | None
    # (H, W) uint8, the probability of the label times 255; None when it was not asked for.
    confidence: np.ndarray | None
    # Steps of the loop that the image took.
    iterations: int
    # Height and width at which the labels were worked out, and, where these are below the image's,
    # what later steps add.
    working_size: tuple[int, int]
    # Milliseconds per stage ('upload', 'derain', 'segment', 'attend', 'download', each summed
    # over the steps) and in all ('total').
    timings: dict[str, float] = field(default_factory=dict)
    # Share of the pixels, 0..1, that were left unlabeled; None without labels or min_confidence.
    unlabeled: float | None = None
    # Rain rate and visibility; None where the model does not estimate them.
    rain: RainEstimate | None = None


def _as_loaded(method: Callable[P, R]) -> Callable[P, R]:
    """Run a method of Engine for its owner, in its own precision, whatever the caller's is."""
    @functools.wraps(method)
    def run(self: Engine, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._owner, torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            return method(self, *args, **kwargs)
    return run


class Engine:
    """
    A loaded network, ready for frames: use ``Engine.load``.

    It serves the process that loaded it, one thread at a time: others get a RuntimeError.

    ``info`` is what the model's file says, ``label_set`` its classes, ``device`` and
    ``precision`` where and in which it runs; ``processing_size``, ``min_confidence`` and
    ``convergence`` are those of frames that ask for none of their own.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float] = time.monotonic,
                 processing_size: int = TRAINED, min_confidence: float = 0.0,
                 convergence: float = 0.0) -> None:
        """
        Make an engine of a backend.

        :param clock: of deadlines, seconds.
        :param processing_size, min_confidence, convergence: as in ``load``, which checks them.
        :raises ModelFileError: the file states an impossible training size, focal length or
            temperature.
        """
        self.processing_size, self.min_confidence = processing_size, min_confidence
        self.convergence = convergence
        self.info, self.label_set = backend.info, backend.info.config.label_set
        self.device, self.precision = backend.device, backend.precision
        # for their errors, if the file says nonsense
        short_side(processing_size, self.info)
        _ = self.info.trained_focal_length, self.info.temperature
        self._backend = backend
        self._owner = Owner()
        self._clock = clock
        self._watch = Stopwatch(backend.device)
        # by what frames' times depend on; those of the few used last are kept
        self._budget = functools.lru_cache(_SIZES)(lambda *_: StepBudget())

    @classmethod
    def load(cls, model: str | Path = DEFAULT_MODEL, device: str | torch.device = 'auto',
             precision: str = 'auto', backend: str = 'auto', fused: bool = True,
             autotune: bool = True, progress: Callable[[str], None] = _LOG.info,
             allow_partial: bool = False, processing_size: int = TRAINED,
             min_confidence: float = 0.0, convergence: float = 0.0) -> Engine:
        """
        Load a model file.

        :param model: name of a shipped model, or path of a .safetensors file; for the backend
            'onnxruntime' also the folder of an export.
        :param device: 'auto' (the first GPU, else the CPU), 'cpu', 'cuda', 'cuda:N', or PyTorch's.
        :param precision: 'auto' (fp16 on a GPU, bf16 on an x86 CPU with instructions for it, else
            fp32), 'fp32', 'bf16' or 'fp16'.
        :param backend: 'eager' (PyTorch, module by module), 'graphs' (CUDA graphs, captured for
            every size of image that comes again; on a CPU the same buffers without graphs),
            'compiled' (graphs of what torch.compile makes of the modules, which takes minutes for
            a new size and is kept in the cache folder; needs Triton on a GPU, a C++ compiler on a
            CPU), 'onnxruntime' (exports a model on first use, which takes a while, and keeps the
            export; fp16 on a GPU, fp32 on a CPU by default, no bf16), or 'auto': 'graphs' on a
            GPU, 'eager' on a CPU. For every size 'graphs' and 'compiled' are compared with the
            modules called one by one; where they fail or differ, a warning says so, and 'graphs'
            takes the place of 'compiled', or the modules that of 'graphs'.
        :param fused: let 'graphs' on a GPU in half precision use kernels that do several
            operations at once, each where a measurement says that it is faster, and 'eager' and
            'graphs' on a CPU those of oneDNN. False leaves PyTorch's. Other backends never use
            any.
        :param autotune: time kernels for which no choice is kept for this GPU, driver, and
            versions, and keep the choice in the cache folder, so that later starts take the same
            kernels and give the same outputs, bit for bit. False times nothing: kept choices are
            used, PyTorch's own kernels where there is none; 'compiled' and 'onnxruntime' do
            without what they would time (TensorRT).
        :param progress: called with lines of text where loading takes long; logs by default.
        :param allow_partial: take a model with parts that were never trained, too.
        :param processing_size: the short side, in pixels, at which images are labelled and, where
            it is below the image's, later steps restore them: 0 for the image's own, -1 for what
            the model was trained for (the image's own where its file does not say). Smaller
            images are enlarged, to twice their size at most. Results have the image's own size.
        :param min_confidence: labels of pixels whose confidence is below it become 255,
            unlabeled, 0..1; 0 leaves all, and works no confidence out.
        :param convergence: the loop ends for an image that a step changes by less than this, the
            mean of all pixels and colours on 0..255; the first step, too, whose change is that
            from the rainy image. 0 runs all steps.
        :raises ModelFileError: the file is missing, damaged or of another architecture, or a
            part of it was never trained.
        :raises ValueError: device, precision, backend, processing size, least confidence or
            convergence unknown, out of range, or not available here.
        :raises OSError: 'onnxruntime' finds no folder to keep its files in.
        """
        check_processing_size(processing_size)
        check_min_confidence(min_confidence)
        check_convergence(convergence)
        return cls(build_backend(backend, LoadOptions(
            model, resolve_device(device), precision, fused, autotune, progress,
            () if allow_partial else PARTS)), processing_size=processing_size,
            min_confidence=min_confidence, convergence=convergence)

    def __getstate__(self) -> Any:
        """Raise TypeError: device memory and compiled code are of this process."""
        raise TypeError('an Engine is neither pickled nor copied: call Engine.load in each '
                        'process, as in the worker_init_fn of a DataLoader, started by spawn')

    @property
    def backend(self) -> str:
        """
        Name what runs the steps: the backend that was chosen, or what took its place.

        Not so for sizes that memory is short for: their frames run module by module until it is
        tried again, as the log says.
        """
        return self._backend.name

    @property
    def estimates_rain(self) -> bool:
        """Whether frames have a rain estimate: the model has a trained head for it."""
        return self.info.estimates_rain

    @_as_loaded
    def warm_up(self, height: int, width: int,
                progress: Callable[[str], None] = lambda _: None, count: int = 1,
                processing_size: int | None = None) -> None:
        """
        Run a few batches of that size, so that the first real one is as fast as the rest.

        :param height, width: pixels.
        :param progress: called with a line of text before and after.
        :param count: images in the batch; each count is warmed up by itself.
        :param processing_size: as for a frame; each is warmed up by itself.
        :raises ValueError: a size is out of range, or the precision does not hold the results.
        """
        batch = [np.zeros((height, width, 3), np.uint8)] * count
        check_batch(batch)
        images = f'{count} x ' if count > 1 else ''
        compiling = ('; at a first start kernels are compiled, which takes up to a minute'
                     if self.device.type == 'cuda' and self.precision != 'fp32' else '')
        working = self._working_size(height, width, processing_size)
        processed = f', processed at {working[1]}x{working[0]},' if working else ''
        progress(f'warming up {self.info.name} at {images}{width}x{height}{processed} on '
                 f'{self.device}, {self.precision}{compiling}')
        self._backend.warm_up((count, height, width), working)
        frame = self.batch(batch, iterations=2, processing_size=processing_size,
                           convergence=0)[0]  # both kinds of steps, though black ones converge
        progress(f'warm: {frame.timings["total"]:.0f} ms for two steps')

    @_as_loaded
    def release(self, height: int, width: int, count: int = 1,
                processing_size: int | None = None) -> None:
        """
        Give back the memory that is kept for batches of that size, as where none will come.

        One that comes all the same is as slow as the first.

        :param height, width, count, processing_size: as in ``warm_up``.
        """
        self._backend.release((count, height, width),
                              self._working_size(height, width, processing_size))

    @_as_loaded
    def release_all(self) -> None:
        """Give back the memory that is kept for all sizes, where it is short for another."""
        self._backend.release_all()

    def __call__(self, image: np.ndarray, iterations: int = 3, deadline: float | None = None,
                 confidence: bool = False, processing_size: int | None = None,
                 min_confidence: float | None = None, convergence: float | None = None,
                 derained: bool = True, labels: bool = True) -> Frame:
        """
        Derain and label one image.

        :param image: (H, W, 3) uint8 RGB, H and W from 32 up.
        :param iterations: T, the steps of the loop, 1 or more.
        :param deadline: ``time.monotonic()`` by which the results should be there: the loop stops
            before a step that would not fit. At least one step runs.
        :param confidence: compute the confidence, too.
        :param processing_size, min_confidence, convergence: as in ``load``, for this frame; None
            for the engine's.
        :param derained: return the derained image; where only labels are of use, its conversion
            and download are spared.
        :param labels: return the labels; False spares the segmentation of the last of all steps,
            which no further step attends to. They come all the same where the confidence is asked
            for, or the derained image is not.
        :raises ValueError: the image has another shape or type (of an export of fixed size, also
            another size), another argument is out of range, or results are not finite.
        """
        return self.batch([image], iterations, deadline, confidence, processing_size,
                          min_confidence, convergence, derained, labels)[0]

    @_as_loaded
    def batch(self, images: Sequence[np.ndarray], iterations: int = 3,
              deadline: float | None = None, confidence: bool = False,
              processing_size: int | None = None, min_confidence: float | None = None,
              convergence: float | None = None, derained: bool = True, labels: bool = True
              ) -> list[Frame]:
        """
        Derain and label images of one size together, as several cameras deliver them.

        :param images: one or more, as for a single one.
        :param iterations, deadline, confidence, processing_size, min_confidence, convergence,
            derained, labels: as for a single image, for all; each converges by itself.
        :return: a Frame per image, in their order; the timings are those of the whole batch.
        :raises ValueError: as for a single image, or the sizes differ, or there is none.
        """
        images = list(images)
        check_batch(images)
        check_number('iterations', iterations, 1, math.inf, whole=True)
        if deadline is not None:
            check_number('deadline', deadline, -math.inf, math.inf)
        least = self.min_confidence if min_confidence is None else min_confidence
        check_min_confidence(least)
        threshold = self.convergence if convergence is None else convergence
        check_convergence(threshold)
        labels = labels or confidence or not derained
        backend, watch = self._backend, self._watch
        height, width = images[0].shape[:2]
        working = self._working_size(height, width, processing_size)
        watch.start()
        budget = self._budget(len(images), height, width, working, labels)
        rainy = backend.upload(images, working)
        watch.mark('upload')
        loop = Loop(rainy, iterations, threshold)
        step = self._run(loop, rainy, iterations, labels, budget, deadline)
        finishing = self._clock()
        unsure = labels and least > 0  # some labels may be
        results = backend.download(step, confidence or unsure, derained, labels)
        # on its way with the results, so that it is not waited for by itself
        rain_logs = None if step.rain is None else step.rain.to('cpu', non_blocking=True)
        watch.mark('download')
        timings = watch.timings()  # waits for the device, so that the results are there
        unlabeled = [leave_unlabeled(ids, sure, least) if unsure else None
                     for _, ids, sure in results]
        if deadline is not None:
            budget.record_finish(self._clock() - finishing)
        return [Frame(image, ids, sure if confidence else None, taken,
                      working or (height, width), dict(timings), share, rain)
                for (image, ids, sure), taken, share, rain
                in zip(results, loop.taken, unlabeled, _rain_of_images(rain_logs, len(images)),
                       strict=True)]

    def _run(self, loop: Loop, rainy: torch.Tensor, iterations: int, labels: bool,
             budget: StepBudget, deadline: float | None) -> Step:
        """Run the steps that fit; return the last, with logits where the labels are of use."""
        backend, mark = self._backend, self._watch.mark
        if deadline is not None:
            self._synchronize()
        begun = self._clock()
        number, step = 1, backend.first(rainy, mark, labels or iterations > 1)
        loop.count(step)
        if deadline is not None:
            self._synchronize()
            budget.record_first(self._clock() - begun)
        while not loop.done and (deadline is None or budget.fits(self._clock(), deadline)):
            started = self._clock()
            loop.keep(step)
            number += 1
            step = backend.next(step, mark, labels or number < iterations)
            loop.count(step)
            if deadline is not None:
                self._synchronize()
                budget.record_step(self._clock() - started)
        return step

    def _working_size(self, height: int, width: int, processing_size: int | None
                      ) -> tuple[int, int] | None:
        asked = self.processing_size if processing_size is None else processing_size
        check_processing_size(asked)
        return working_size(height, width, short_side(asked, self.info))

    def _synchronize(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def _rain_of_images(logs: torch.Tensor | None, count: int) -> list[RainEstimate | None]:
    """Return the rain of so many images as numbers, of (N, 2) as ``Step`` has it."""
    if logs is None:
        return [None] * count
    return [RainEstimate(*numbers) for numbers
            in zip(*(each.tolist() for each in rain_of(logs)), strict=True)]
