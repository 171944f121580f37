# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ClassMix: classes cut out of one view and put over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ubcn_ros.training.tensors.scenes import SceneTensors
from ubcn_ros.training.tensors.transfer import to_device
from ubcn_ros.training.tensors.views import View, Views


@dataclass(frozen=True)
class Mixed:
    """
    What is put over a sample.

    :param view: of the other image.
    :param classes: (256,) bool, whether pixels of an id are cut out.
    """

    view: View
    classes: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, view: View, ids: int) -> Mixed:
        """
        Draw each class with probability 1/2.

        ClassMix (Olsson et al., WACV 2021) takes half of those that are in the image.

        :param ids: number of classes and of groups of them; what is unlabeled is never cut out.
        """
        classes = np.zeros(256, bool)
        classes[:ids] = rng.random(ids) < 0.5
        return cls(view, classes)


class MixedViews(Views):
    """
    Views over some of which parts of others are put.

    :param scenes, views, crop: as of ``Views``, as are the methods.
    :param mixed: what is put over them, by the view's number.
    """

    def __init__(self, scenes: SceneTensors, views: Sequence[View], crop: Sequence[int],
                 mixed: Mapping[int, Mixed]) -> None:
        super().__init__(scenes, views, crop)
        self.mixed = dict(mixed)
        if not mixed:
            return
        self._others = Views(scenes, [each.view for each in mixed.values()], crop)
        self._where = to_device([*mixed], scenes.device, torch.int64)
        table = to_device([each.classes for each in mixed.values()], scenes.device, torch.bool)
        self._pasted = self._others.labels()
        self._mask = table.gather(1, self._pasted.flatten(1).long()).view_as(self._pasted)

    def images(self, numbers: Sequence[int] | None = None) -> torch.Tensor:
        """Look at the images; other ones of the same sizes are looked at alone."""
        images = super().images(numbers)
        return images if numbers is not None else self._over(images, Views.images)

    def labels(self) -> torch.Tensor:
        return self._over(super().labels(), lambda _: self._pasted)

    def depth(self) -> torch.Tensor:
        return self._over(super().depth(), Views.depth)

    def select(self, places: Sequence[int]) -> MixedViews:
        mixed = {n: self.mixed[place] for n, place in enumerate(places) if place in self.mixed}
        return MixedViews(self.scenes, [self.views[place] for place in places], self.crop, mixed)

    def _over(self, below: torch.Tensor, look) -> torch.Tensor:
        if self.mixed:
            above = look(self._others)
            mask = self._mask if above.ndim == 3 else self._mask[:, None]
            below[self._where] = torch.where(mask, above, below[self._where])
        return below
