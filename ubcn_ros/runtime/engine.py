# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frame processor: a trained network behind uint8 arrays."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ubcn_ros.labels import LabelSet
from ubcn_ros.network import UBCN
from ubcn_ros.runtime.backends.eager import Backend, EagerBackend
from ubcn_ros.runtime.budget import StepBudget
from ubcn_ros.runtime.optimize import prepare
from ubcn_ros.runtime.stopwatch import Stopwatch
from ubcn_ros.runtime.transfer import PlainTransfer, Transfer
from ubcn_ros.runtime.weights import PARTS, ModelInfo, load_model

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
BACKENDS = ('eager', 'graphs', 'compiled', 'onnxruntime')
MIN_SIDE = 32
"""Smallest height and width of an image, pixels."""
_SIZES = 16
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """
    Results for one image.

    ``derained`` (H, W, 3) uint8 RGB; ``labels`` (H, W) uint8 class ids; ``confidence`` (H, W)
    uint8, the probability of the label times 255, or None when it was not asked for;
    ``iterations`` the steps that ran; ``timings`` milliseconds per stage ('upload', 'derain',
    'segment', 'attend', 'download', each summed over the steps) and in all ('total'). A backend
    that cannot split a step counts the first under 'derain' and the others under 'attend'.
    """

    derained: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray | None
    iterations: int
    timings: dict[str, float] = field(default_factory=dict)


class Engine:
    """
    A loaded network, ready for frames. Not thread-safe: one thread owns it.

    Use ``Engine.load``.
    """

    def __init__(self, network: UBCN | Backend, info: ModelInfo, device: torch.device,
                 precision: str, prepare: Callable[..., nn.Module] = prepare) -> None:
        """``network`` is a plain network, for the backend 'eager', or a backend's steps."""
        self.info = info
        self.device = device
        self.precision = precision
        self._steps: Backend = network if not isinstance(network, nn.Module) else EagerBackend(
            prepare(network, device, PRECISIONS[precision]))
        self.label_set: LabelSet = self._steps.label_set
        # a backend with buffers of its own moves images itself
        self._transfer: Transfer = (self._steps if hasattr(self._steps, 'upload')
                                    else PlainTransfer(device))
        self._watch = Stopwatch(device)
        self._budgets: OrderedDict[tuple[int, ...], StepBudget] = OrderedDict()

    @classmethod
    def load(cls, model: str | Path = 'ubcn-light-camvid', device: str = 'auto',
             precision: str = 'auto', backend: str = 'auto',
             progress: Callable[[str], None] = _LOG.info,
             allow_partial: bool = False) -> Engine:
        """
        Load a model file.

        :param model: name of a shipped model, or path of a .safetensors file; for the backend
            'onnxruntime' also the folder of an export.
        :param device: 'auto' (the first GPU, else the CPU), 'cpu', 'cuda' or 'cuda:N'.
        :param precision: 'auto' (fp16 on a GPU, bf16 on a CPU that computes in it, else fp32),
            'fp32', 'bf16' or 'fp16'.
        :param backend: 'eager' (PyTorch, module by module), 'graphs' (the same captured as CUDA
            graphs for every size of image that comes again; on a CPU the same buffers without
            graphs), 'compiled' (graphs of what torch.compile makes of the modules, which takes
            minutes for a new size and is kept in the cache folder; needs Triton on a GPU, a C++
            compiler on a CPU), 'onnxruntime' (exports a model on first use, which takes a while,
            and keeps the export; fp16 on a GPU, fp32 on a CPU by default, no bf16), or 'auto':
            'graphs' on a GPU, 'eager' on a CPU. 'graphs' and 'compiled' are compared with 'eager'
            for every size, and left for it, with a warning, where they fail or differ.
        :param progress: called with lines of text where loading takes long; logs by default.
        :param allow_partial: take a model with parts that were never trained, too.
        :raises ModelFileError: the file is missing, damaged or of another architecture, or a
            part of it was never trained.
        :raises ValueError: device, precision or backend unknown or not to be had here.
        """
        target = resolve_device(device)
        needs = () if allow_partial else PARTS
        if backend == 'onnxruntime':
            from ubcn_ros.runtime.backends.onnx import load_steps
            steps = load_steps(model, target, precision, progress, needs)
            return cls(steps, steps.info, target, steps.precision)
        precision = resolve_precision(precision, target)
        if backend == 'auto':
            backend = 'graphs' if target.type == 'cuda' else 'eager'
        if backend not in BACKENDS:
            raise ValueError(f"unknown backend {backend!r}: choose 'auto' or one of "
                             f'{", ".join(BACKENDS)}')
        network, info = load_model(model, needs)
        if backend == 'eager':
            return cls(network, info, target, precision)
        from ubcn_ros.runtime.backends import graphs as graph_backend
        dtype = PRECISIONS[precision]
        if backend == 'graphs':
            steps = graph_backend.graph_steps(prepare(network, target, dtype), target, progress)
        else:
            # the CPU's fast attention follows the data, which compiled code cannot
            prepared = prepare(network, target, dtype, fast_attention=False)
            steps = graph_backend.compiled_steps(prepared, info, target, precision, progress)
        return cls(steps, info, target, precision)

    @property
    def backend(self) -> str:
        """What runs the steps: the backend that was chosen, or 'eager' where that failed."""
        return self._steps.backend

    def modules(self) -> dict[str, nn.Module]:
        """
        Return what computes each stage, 'derain', 'segment' and 'attend', to be looked at.

        Empty where a backend shows nothing. Recorded and compiled steps call no hooks of theirs.
        """
        return self._steps.modules()

    def warm_up(self, height: int, width: int, progress: Callable[[str], None] | None = None,
                count: int = 1) -> None:
        """
        Run a few batches of that size, so that the first real one is as fast as the rest.

        :param height, width: pixels.
        :param progress: called with a line of text before and after.
        :param count: images in the batch; each count is warmed up by itself.
        """
        say = progress or (lambda _: None)
        say(f'warming up {self.info.name} at {f"{count} x " if count > 1 else ""}{width}x{height} '
            f'on {self.device}, {self.precision}' + (
                '; at a first start kernels are compiled, which takes up to a minute'
                if self.device.type == 'cuda' and self.precision != 'fp32' else ''))
        blank = np.zeros((height, width, 3), np.uint8)
        # graphs are made before the second batch of a size: the third shows what they take
        for _ in range(3 if self._transfer is self._steps else 2):
            frame = self.batch([blank] * count, iterations=2)[0]
        say(f'warm: {frame.timings["total"]:.0f} ms for two steps')

    def __call__(self, image: np.ndarray, iterations: int = 3, deadline: float | None = None,
                 confidence: bool = False) -> Frame:
        """
        Derain and label one image.

        :param image: (H, W, 3) uint8 RGB, H and W from 32 up.
        :param iterations: T, the steps of the loop, 1 or more.
        :param deadline: ``time.monotonic()`` by which the results should be there: the loop stops
            before a step that would not fit. At least one step runs.
        :param confidence: compute the confidence, too.
        :raises ValueError: the image has another shape or type, or iterations is below 1.
        """
        return self.batch([image], iterations, deadline, confidence)[0]

    @torch.inference_mode()
    def batch(self, images: Sequence[np.ndarray], iterations: int = 3,
              deadline: float | None = None, confidence: bool = False) -> list[Frame]:
        """
        Derain and label images of one size together, as several cameras deliver them.

        :param images: one or more, as for a single one.
        :param iterations, deadline, confidence: as for a single image, for all of them.
        :return: a Frame per image, in their order; the timings are those of the whole batch.
        :raises ValueError: as for a single image, or the sizes differ, or there is none.
        """
        for image in images:
            check_image(image)
        if len({image.shape for image in images}) != 1:
            sizes = ', '.join(f'{image.shape[1]}x{image.shape[0]}' for image in images)
            raise ValueError(f'a batch takes images of one size, got {sizes or "none"}: process '
                             'them one by one')
        if iterations < 1:
            raise ValueError(f'iterations must be 1 or more, got {iterations}')
        watch = self._watch
        watch.start()
        budget = self._budget((len(images), *images[0].shape[:2]))
        rainy = self._transfer.upload(images)
        watch.mark('upload')
        if deadline is not None:
            self._synchronize()
        begun = time.monotonic()
        step = self._steps.first(rainy, watch.mark)
        done = 1
        if deadline is not None:
            self._synchronize()
            budget.record_first(time.monotonic() - begun)
        while done < iterations and (
                deadline is None or budget.fits(time.monotonic(), deadline)):
            started = time.monotonic()
            step = self._steps.next(rainy, step, watch.mark)
            done += 1
            if deadline is not None:
                self._synchronize()
                budget.record_step(time.monotonic() - started)
        finishing = time.monotonic()
        results = self._transfer.download(step, confidence)
        watch.mark('download')
        timings = watch.timings()  # waits for the device, so that the results are there
        if deadline is not None:
            budget.record_finish(time.monotonic() - finishing)
        return [Frame(*result, done, timings) for result in results]

    def _budget(self, size: tuple[int, ...]) -> StepBudget:
        """Budget of this batch, height and width; the few sizes used last are kept."""
        budget = self._budgets.pop(size, None) or StepBudget()
        self._budgets[size] = budget
        if len(self._budgets) > _SIZES:
            self._budgets.popitem(last=False)
        return budget

    def _synchronize(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless the image is (H, W, 3) uint8 with H and W from 32 up."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        got = getattr(image, 'shape', type(image).__name__)
        raise ValueError(f'expected an image of shape (H, W, 3), RGB, got {got}')
    if image.dtype != np.uint8:
        raise ValueError(f'expected an image of uint8, got {image.dtype}: scale to 0..255 and '
                         'convert it')
    if min(image.shape[:2]) < MIN_SIDE:
        raise ValueError(f'an image of {image.shape[1]}x{image.shape[0]} is too small: '
                         f'{MIN_SIDE}x{MIN_SIDE} is the least')


def resolve_device(device: str) -> torch.device:
    """'auto', 'cpu', 'cuda' or 'cuda:N' to a device that is there; ValueError otherwise."""
    if device == 'auto':
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    kind, _, number = device.partition(':')
    if kind not in ('cpu', 'cuda') or (number and not number.isdigit()):
        raise ValueError(f"unknown device {device!r}: choose 'auto', 'cpu', 'cuda' or 'cuda:N'")
    if kind == 'cpu':
        return torch.device('cpu')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        raise ValueError(f"device {device!r} is not there: PyTorch sees {count} CUDA devices; "
                         "choose 'auto' or 'cpu', or install PyTorch with CUDA")
    return torch.device('cuda', int(number or 0))


def resolve_precision(precision: str, device: torch.device) -> str:
    """'auto' to the fastest precision that the device computes in; ValueError if unknown."""
    if precision == 'auto':
        if device.type == 'cuda':
            return 'fp16'
        return 'bf16' if cpu_computes_bf16() else 'fp32'
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: choose 'auto' or one of "
                         f'{", ".join(PRECISIONS)}')
    return precision


def cpu_computes_bf16() -> bool:
    """Whether the processor has bfloat16 instructions; emulating them is slower than fp32."""
    try:
        flags = Path('/proc/cpuinfo').read_text()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags
