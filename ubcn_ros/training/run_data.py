# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of the data the stages of a run train and validate on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median_low
from typing import Any

from ubcn_ros.data.mixture import Data, focal_length
from ubcn_ros.data.resizing import short_sides, shrunk
from ubcn_ros.data.scenes import DataSet, SceneList
from ubcn_ros.training.config import DataConfig
from ubcn_ros.training.record import data_record, joined_license, scenes_digest
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.stages import STAGE_CLASSES


@dataclass
class RunData:
    """
    Data, and what a recipe takes of them; looks at scenes raise as ``Data.split``.

    :param config: the recipe's settings of data.
    """

    data: Data
    config: DataConfig

    @cached_property
    def training(self) -> SceneList:
        """Scenes to train on."""
        scenes = self._train_split
        return shrunk(scenes.unique() if self.config.unique_names else scenes,
                      self.config.short_side)

    @property
    def _train_split(self) -> SceneList:
        return self.data.split('train', exclude=self.config.exclude)

    @cached_property
    def validation(self) -> SceneList | None:
        """Scenes that validate, None where there is no split val or the recipe wants none."""
        if 'val' not in self.data.splits or not self.config.validation_images:
            return None
        return shrunk(self.data.split('val'), self.config.short_side)

    def _sides(self, stage: str) -> list[int]:
        """Return the ``short_sides`` that a stage trains on; their images are read once."""
        return self._all_sides if stage == 'derain' else self._labelled_sides

    @cached_property
    def _all_sides(self) -> list[int]:
        return short_sides(self.training)

    @cached_property
    def _labelled_sides(self) -> list[int]:
        return short_sides(self.training.labelled())

    def scenes(self, stage: str) -> tuple[SceneList, SceneList | None]:
        """Scenes that a stage trains and validates on: all but derain need labels."""
        if stage == 'derain':
            return self.training, self.validation
        return self.training.labelled(), (self.validation and self.validation.labelled()) or None

    @cached_property
    def _train_counts(self) -> list[int]:
        """Images of every set that are trained on: a recipe may leave some out."""
        return self.data.counts('train', self.training)

    @property
    def left_out(self) -> list[str]:
        """Say of which data sets images are left out, as an earlier one has their names."""
        every = self.data.counts('train', self._train_split)
        return [f'{found.name}: {all_of_it - used} of {all_of_it} images are left out, as '
                'unique_names is set and an earlier data set has their names'
                for found, all_of_it, used in zip(self.data.sets, every, self._train_counts,
                                                  strict=True) if used < all_of_it]

    def check(self) -> None:
        """Raise ValueError where nothing of a data set would be trained on."""
        if unused := [found.name for found, count in
                      zip(self.data.sets, self._train_counts, strict=True)
                      if not count and 'train' in found.splits]:
            raise ValueError(f'no image of {", ".join(unused)} would be trained on: with '
                             'unique_names the names are those of an earlier data set, or exclude '
                             'leaves all out; rename the images, or do not give the data set')

    def sets(self, stages: Iterable[str]) -> tuple[DataSet, ...]:
        """Data sets that stages train or validate on: nothing came of the others."""
        used = [s for stage in stages for split, scenes in
                zip(('train', 'val'), self.scenes(stage), strict=True) if scenes
                for s in self.data.sets_of(split, scenes)]
        return tuple(s for s in self.data.sets if s in used)

    def records(self, hashes: Sequence[str]) -> list[dict[str, Any]]:
        """
        Return the ``data_record`` of every data set, in their order.

        :param hashes: of their files; empty where nobody has read them.
        """
        return [*map(data_record, self.data.sets, hashes or [None] * len(self.data.sets),
                     self.data.meanings.values(), self._train_counts)]

    def settings(self, stage: str, hashes: Sequence[str]) -> dict[str, Any]:
        """
        Return what of the data decides on a stage's weights, in plain values.

        Data sets go by their places: what they are called changes nothing.

        :param hashes: as of ``records``.
        """
        scenes = zip(('train', 'val'), self.scenes(stage), strict=True)
        return {'scenes': {split: found and scenes_digest(found) for split, found in scenes},
                'labels': _by_place(self.data.meanings.values()), 'files': _by_place(hashes)}

    def origin(self, stage: str, before: Mapping[str, Any], samples: SampleConfig,
               hashes: Sequence[str]) -> dict[str, Any]:
        """
        Say what the weights of a stage come from, as the data say of themselves now.

        :param before: as of ``record.model_origin``, of what the stage starts from.
        :param samples: that it is trained on.
        :param hashes: as of ``records``.
        """
        sets, records = self.sets([stage]), [*(before['data'] or ())]
        records += [record for record, found in
                    zip(self.records(hashes), self.data.sets, strict=True)
                    if found in sets and record not in records]
        result = {**before, 'data': records, 'license': joined_license(
            [before['license'], *(found.license for found in sets)])}
        trained, scenes = STAGE_CLASSES[stage].trained, self.scenes(stage)[0]
        if 'derain' in trained:  # what it learnt before is not lost
            result['trained_derain_side'] = max(before['trained_derain_side'] or 0,
                                                *map(samples.largest_side, self._sides(stage)))
        if 'segmentation' in trained:
            result['trained_short_side'] = samples.typical_side(median_low(self._sides(stage)))
            result['trained_focal_length'] = focal_length(self.data.sets_of('train', scenes))
        return result


def _by_place(values: Iterable[Any]) -> dict[str, Any]:
    return {str(place): value for place, value in enumerate(values, 1)}
