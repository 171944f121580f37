# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the engine asks of a backend, what a backend is built from, and the backends by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.network import Step
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.transfer import Result

Size = tuple[int, int, int]
"""Images, height, width."""
WorkingSize = tuple[int, int] | None
"""Height and width at which images are labelled; None for the images' own."""
Mark = Callable[[str], None]
"""Called with the name of a stage that has just ended: 'derain', 'segment' or 'attend'."""
BACKENDS = {'eager': 'eager', 'graphs': 'graphs', 'compiled': 'compiled', 'onnxruntime': 'onnx'}
"""Modules of this package whose ``build`` makes a backend, by the backend's name."""


class PrecisionError(ValueError):
    """A model's results are not finite in the precision that it runs in."""


class Backend(Protocol):
    """
    Runs the steps of the loop on batches of images of one size.

    A frame is one ``upload``, one ``first``, any number of ``next`` and one ``download``, all in
    one thread and in inference mode.
    """

    # What runs the steps now, as in ``Engine.load``; another one where that failed.
    name: str
    # What the model's file says.
    info: ModelInfo
    # Where the steps run.
    device: torch.device
    # 'fp32', 'bf16' or 'fp16'.
    precision: str

    def upload(self, images: Sequence[np.ndarray], working: WorkingSize = None) -> torch.Tensor:
        """
        Turn N arrays (H, W, 3) uint8 RGB into (N, 3, H, W) fp32 0..1 on the device.

        :param working: of the steps of this frame, as in ``UBCN.forward``.
        """

    def first(self, image: torch.Tensor, mark: Mark, segment: bool = True) -> Step:
        """
        Derain and segment what ``upload`` returned.

        :param segment: whether the logits are of use; else they may be anything, or None.
        """

    def next(self, previous: Step, mark: Mark, segment: bool = True) -> Step:
        """Attend and segment again, as ``first``; ``previous`` may be overwritten."""

    def download(self, step: Step, confidence: bool, derained: bool = True, labels: bool = True
                 ) -> list[Result]:
        """
        Return the step's results, one per image; the confidence at ``info.temperature``.

        What is not asked for is neither worked out nor downloaded. Confidence comes with labels.

        :raises PrecisionError: a first frame of its sizes and stages has results that are not
            finite.

        From a GPU they may be on their way: their values are there once the device is
        synchronised. They are the caller's; no later frame changes them.
        """

    def warm_up(self, size: Size, working: WorkingSize = None) -> None:
        """Run batches of these sizes until a further one is as fast as all after it."""

    def release(self, size: Size, working: WorkingSize = None) -> None:
        """Give back what is kept for these sizes alone; they may come again."""

    def release_all(self) -> None:
        """Give back what is kept for any sizes, where memory is short for another."""


@dataclass(frozen=True)
class LoadOptions:
    """What a backend is built from; as in ``Engine.load``."""

    # Name or path of a model, or the folder of an export.
    model: str | Path
    # Where to run it.
    device: torch.device
    # 'auto', 'fp32', 'bf16' or 'fp16'.
    precision: str = 'auto'
    # Whether kernels that do several operations at once may be used.
    fused: bool = True
    # Whether what has no stored choice yet may be timed.
    autotune: bool = True
    # Called with lines of text where something takes long.
    progress: Callable[[str], None] = lambda _: None
    # Parts of the model, of ``PARTS``, that must have been trained.
    needs: Sequence[str] = ()


def build_backend(name: str, options: LoadOptions) -> Backend:
    """
    Load a model into a backend.

    :param name: one of ``BACKENDS``, or 'auto': 'graphs' on a GPU, 'eager' on a CPU.
    :raises ModelFileError: the model is missing, damaged or of another architecture.
    :raises ValueError: the name or the precision is unknown, or the backend cannot be had here.
    """
    if name == 'auto':
        name = 'graphs' if options.device.type == 'cuda' else 'eager'
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}: choose 'auto' or one of "
                         f'{", ".join(BACKENDS)}')
    return importlib.import_module(f'.{BACKENDS[name]}', __package__).build(options)


def run_once(backend: Backend, size: Size, working: WorkingSize) -> None:
    """
    Run every kind of stage on a batch of these sizes.

    :raises PrecisionError: as ``Backend.download``.
    """
    rainy = backend.upload([*random_pixels(size, seed=0).numpy()], working)
    step = backend.first(rainy, lambda _: None)
    step = backend.next(step, lambda _: None)
    backend.download(step, False)


def random_pixels(size: Size, seed: int) -> torch.Tensor:
    """Draw (N, H, W, 3) uint8, the same in every process: smooth surfaces with noise."""
    random = torch.Generator().manual_seed(seed)
    n, height, width = size
    coarse = torch.rand((n, 3, 5, 7), generator=random, dtype=torch.float32, device='cpu') * 200
    surfaces = F.interpolate(coarse, (height, width), mode='bilinear')
    noise = torch.randint(0, 56, (n, height, width, 3), generator=random, dtype=torch.uint8,
                          device='cpu')
    return surfaces.permute(0, 2, 3, 1).to(torch.uint8) + noise
