# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of the steps as functions, and a backend that calls them one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ubcn_ros.network import UBCN, Step, UBCNConfig
from ubcn_ros.network.step import Derained, attend_at, derain_at, derain_size, label_view
from ubcn_ros.runtime.backends.backend import (
    Mark,
    PrecisionError,
    Size,
    WorkingSize,
    run_once,
)
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.transfer import Result, download, upload


@dataclass(frozen=True)
class StageFunctions:
    """What the stages of the steps compute, on tensors as in ``UBCN``."""

    # Rainy image to the derained one, what SAM takes and the rain, as ``UBCN.derain_first``.
    derain: Callable[[torch.Tensor], Derained]
    # Derained image and working size to logits.
    segment: Callable[[torch.Tensor, WorkingSize], torch.Tensor]
    # The step before and working size to the derained image.
    attend: Callable[[Step, WorkingSize], torch.Tensor]

    @classmethod
    def of(cls, network: UBCN) -> StageFunctions:
        """Return the network's own."""
        return cls(network.derain_first, network.segment, network.attend)

    @classmethod
    def of_models(cls, derain: Callable[[torch.Tensor], torch.Tensor | Sequence[torch.Tensor]],
                  segment: Callable[[torch.Tensor], torch.Tensor],
                  attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
                  config: UBCNConfig, derain_side: int) -> StageFunctions:
        """
        Return exported stages, resizing around them.

        :param derain, segment, attend: as in ``export.stages``.
        :param config, derain_side: of the network.
        """
        def derain_natively(image: torch.Tensor) -> Derained:
            found = derain(image)
            derained, *others = [found] if isinstance(found, torch.Tensor) else found
            rainy = others.pop(0) if config.lifted else image
            return derained, rainy, others[0] if others else None

        def derain_(image: torch.Tensor) -> Derained:
            size = derain_size(*image.shape[-2:], derain_side)
            return derain_at(size, derain_natively, image)

        def segment_at(image: torch.Tensor, working: WorkingSize) -> torch.Tensor:
            return segment(label_view(image, working))

        def attend_natively(previous: Step) -> torch.Tensor:
            return attend(previous.rainy, previous.image, previous.logits)

        def attend_(previous: Step, working: WorkingSize) -> torch.Tensor:
            if working is None:
                return attend_natively(previous)
            return attend_at(working, attend_natively, previous)

        return cls(derain_, segment_at, attend_)


class StagesBackend:
    """
    Stages, called one by one.

    :param stages: to call; an attribute, too.
    :param info: of the model's file.
    :param device, precision: that the stages run on and in.
    :ivar half_remedy: what helps where fp16 cannot hold the model's values.
    """

    name = 'eager'
    half_remedy = "choose the precision 'fp32', or 'bf16' where the backend has it"

    def __init__(self, stages: StageFunctions, info: ModelInfo, device: torch.device,
                 precision: str) -> None:
        self.info, self.device, self.precision = info, device, precision
        self.stages = stages
        self._working: WorkingSize = None
        self._attended = False
        self._finite: set[tuple[torch.Size, WorkingSize, bool, bool]] = set()

    def upload(self, images: Sequence[np.ndarray], working: WorkingSize = None) -> torch.Tensor:
        """Turn N arrays (H, W, 3) uint8 RGB into (N, 3, H, W) fp32 0..1; begins a frame."""
        self._working = working
        return upload(images, self.device)

    def first(self, image: torch.Tensor, mark: Mark, segment: bool = True) -> Step:
        """Derain and segment."""
        self._attended = False
        derained, rainy, rain = self.stages.derain(image)
        mark('derain')
        return Step(derained, self._segment(derained, mark) if segment else None, rainy, rain)

    def next(self, previous: Step, mark: Mark, segment: bool = True) -> Step:
        """Attend and segment again."""
        self._attended = True
        step = previous._replace(image=self.stages.attend(previous, self._working))
        mark('attend')
        return step._replace(logits=self._segment(step.image, mark)) if segment else step

    def download(self, step: Step, confidence: bool, derained: bool = True, labels: bool = True
                 ) -> list[Result]:
        """
        Return the step's results; a GPU's are complete.

        :raises PrecisionError: as ``require_finite``, for the first frame of its sizes and stages:
            later ones do not wait for it.
        """
        kind = step.image.shape, self._working, self._attended, labels
        if kind not in self._finite:
            self.require_finite(step)
            self._finite.add(kind)
        return download(step, confidence, self.info.temperature, derained, labels)

    def require_finite(self, step: Step) -> None:
        """
        Check that the precision holds the model's values: else images would turn out black.

        :raises PrecisionError: the step's images, logits or rain are not finite.
        """
        if all(values is None or bool(values.isfinite().all())
               for values in (step.image, step.logits, step.rainy, step.rain)):
            return
        remedy = (self.half_remedy if self.precision == 'fp16' else
                  'train it anew, or use another model')
        raise PrecisionError(f'the results of {self.info.name} are not finite in '
                             f'{self.precision}: {remedy}')

    def warm_up(self, size: Size, working: WorkingSize = None) -> None:
        """Run one batch: libraries choose algorithms, compile kernels and build engines."""
        run_once(self, size, working)

    def release(self, size: Size, working: WorkingSize = None) -> None:
        """Give nothing back: only PyTorch and oneDNN keep things for a size (launch/README.md)."""

    def release_all(self) -> None:
        """Give nothing back, likewise."""

    def _segment(self, restored: torch.Tensor, mark: Mark) -> torch.Tensor:
        logits = self.stages.segment(restored, self._working)
        mark('segment')
        return logits
