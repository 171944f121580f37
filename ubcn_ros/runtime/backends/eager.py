# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop's steps by PyTorch, module by module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ubcn_ros.network import UBCN, Step
from ubcn_ros.runtime.backends.backend import LoadOptions, Mark, Size, run_once
from ubcn_ros.runtime.device import PRECISIONS, resolve_precision
from ubcn_ros.runtime.optimize import prepare
from ubcn_ros.runtime.transfer import Result, download, upload
from ubcn_ros.runtime.weights import ModelInfo, load_model


class EagerBackend:
    """
    A prepared network, called module by module.

    :param network: as ``prepare`` returned it.
    :param info: of its file.
    :param device, precision: that it was prepared for.
    """

    name = 'eager'

    def __init__(self, network: UBCN, info: ModelInfo, device: torch.device, precision: str
                 ) -> None:
        self.network = network
        self.info, self.device, self.precision = info, device, precision
        self.label_set = network.label_set

    def upload(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Turn N arrays (H, W, 3) uint8 RGB into (N, 3, H, W) fp32 0..1 on the device."""
        return upload(images, self.device)

    def first(self, image: torch.Tensor, mark: Mark) -> Step:
        """Derain and segment."""
        return self._segment(self.network.derain(image), 'derain', mark)

    def next(self, image: torch.Tensor, previous: Step, mark: Mark) -> Step:
        """Attend and segment again."""
        return self._segment(self.network.attend(image, previous), 'attend', mark)

    def download(self, step: Step, confidence: bool) -> list[Result]:
        """Return the step's results; a GPU's are complete."""
        return download(step, confidence)

    def warm_up(self, size: Size) -> None:
        """Run one batch: libraries choose their algorithms, and fused kernels are compiled."""
        run_once(self, size)

    def _segment(self, restored: torch.Tensor, stage: str, mark: Mark) -> Step:
        mark(stage)
        step = Step(restored, self.network.segmentation(restored))
        mark('segment')
        return step


def load_eager(options: LoadOptions, **preparation: bool) -> EagerBackend:
    """
    Load a model and prepare it.

    :param preparation: options of ``prepare``.
    :raises ModelFileError: of the model's file, also where a needed part was never trained.
    :raises ValueError: the precision is unknown.
    """
    precision = resolve_precision(options.precision, options.device)
    network, info = load_model(options.model, options.needs)
    prepare(network, options.device, PRECISIONS[precision], **preparation)
    return EagerBackend(network, info, options.device, precision)


def build(options: LoadOptions) -> EagerBackend:
    """Build the backend 'eager', whose modules are PyTorch's own on a GPU, never fused ones."""
    return load_eager(options, fused=False)
