# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Steps that are left unspent: an image that a step hardly changes has converged."""

from __future__ import annotations

import torch

from ubcn_ros.network import Step
from ubcn_ros.runtime.checks import check_number

LARGEST = 255.0
"""Highest threshold: no step changes an image by more."""


def check_convergence(value: float) -> None:
    """Raise ValueError unless the value is a change on 0..255."""
    check_number('convergence', value, 0, LARGEST)


def change_of(image: torch.Tensor, before: torch.Tensor) -> list[float]:
    """
    Return the mean absolute change of each image, on 0..255; waits for the device.

    :param image, before: (N, 3, H, W) RGB, clamped to 0..1.
    """
    difference = image.float().clamp(0, 1).sub_(before.float().clamp(0, 1)).abs_()
    return difference.mean((1, 2, 3)).mul_(255).tolist()


class Loop:
    """
    Follows a batch through the steps and ends it image by image.

    An image that a step, the first included, changes by less than the threshold has converged:
    while the loop goes on for the others its results stay those of this step, so that they do not
    depend on its neighbours.

    :param rainy: (N, 3, H, W), the images that the first step changes.
    :param iterations: T, the most steps.
    :param threshold: mean absolute change on 0..255; 0: none converges, and no change is worked
        out.
    :ivar taken: steps that each image took.
    """

    def __init__(self, rainy: torch.Tensor, iterations: int, threshold: float) -> None:
        self._iterations, self._threshold = iterations, threshold
        self._image, self._before = rainy, None
        self._converged = [False] * len(rainy)
        self.taken = [0] * len(rainy)

    @property
    def done(self) -> bool:
        """Whether no image needs a further step."""
        return all(converged or taken == self._iterations
                   for converged, taken in zip(self._converged, self.taken, strict=True))

    def keep(self, step: Step) -> None:
        """Keep what the next step may overwrite."""
        if self._threshold:
            self._before = step._replace(image=step.image.clone(), logits=step.logits.clone())
            self._image = self._before.image

    def count(self, step: Step) -> None:
        """Count a step where it was needed, and undo it where it was not."""
        for i, converged in enumerate(self._converged):
            if converged:
                step.image[i].copy_(self._before.image[i])
                step.logits[i].copy_(self._before.logits[i])
            else:
                self.taken[i] += 1
        if self._threshold:
            self._converged = [change < self._threshold
                               for change in change_of(step.image, self._image)]
