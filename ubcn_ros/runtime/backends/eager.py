# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop's steps by PyTorch's modules; and what any backend of the engine offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from ubcn_ros.labels import LabelSet
from ubcn_ros.network import UBCN, Step


class Backend(Protocol):
    """
    What the engine asks of a backend: whole steps, so that one that cannot split them fits, too.

    ``mark`` is called with the name of a stage that has just ended ('derain', 'segment' or
    'attend'); what a step does belongs to one of them. ``backend`` is its name.

    Steps may have ``upload`` and ``download`` as ``Transfer`` has; the engine uses them then.
    """

    backend: str
    label_set: LabelSet

    def first(self, image: torch.Tensor, mark: Callable[[str], None]) -> Step:
        """(N, 3, H, W) fp32 image, RGB 0..1, on the device, to the first step."""

    def next(self, image: torch.Tensor, previous: Step, mark: Callable[[str], None]) -> Step:
        """Return the step after ``previous`` of the same image."""

    def modules(self) -> dict[str, nn.Module]:
        """Return what computes each stage, as far as it can be looked at."""


class EagerBackend:
    """A prepared network, module by module."""

    backend = 'eager'

    def __init__(self, network: UBCN) -> None:
        self._network = network
        self.label_set = network.label_set

    def first(self, image: torch.Tensor, mark: Callable[[str], None]) -> Step:
        """Derain and segment."""
        return self._segment(self._network.derain(image), 'derain', mark)

    def next(self, image: torch.Tensor, previous: Step, mark: Callable[[str], None]) -> Step:
        """Attend and segment."""
        return self._segment(self._network.attend(image, previous), 'attend', mark)

    def modules(self) -> dict[str, nn.Module]:
        """Return what computes 'derain', 'segment' and 'attend'."""
        return {'derain': self._network.derain, 'segment': self._network.segmentation,
                'attend': self._network.attention}

    def _segment(self, restored: torch.Tensor, stage: str, mark: Callable[[str], None]) -> Step:
        mark(stage)
        step = Step(restored, self._network.segmentation(restored))
        mark('segment')
        return step
