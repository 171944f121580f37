# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Figure 1 of the paper, made again: networks trained at one level of a degradation, tested at all.

``OUT/degradations.json`` holds, beside what ``results_file`` says, 'data': by the names of the
data sets when they were begun with, joined by '+',

- 'training' and 'scenes', which of it are trained on and which are tests, as
  ``training.record.scenes_record``; 'files', 'label_set' and 'labels' as
  ``Study.data_settings``;
- 'command', the one that began it;
- 'miou': mIoU in % of the segmentation network as [kind][level of training][seed][level of test],
  all of them text: ``miou['rain']['50']['1']['150']``. Kinds and levels are those of
  ``paper.FIGURE_1_LEVELS``. What was not trained yet is missing;
- 'errors': why a training diverged, by level and seed, such as 'rain 50, seed 1' or 'clean,
  seed 1'. It is not tried again.

The network of level 0 is one training for all kinds, in whose tables it stands. Claims, means and
figures are not in the file: ``tables_of`` reads it, ``degradation_claims.claims`` checks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ubcn_ros.data.degradations import Degradation
from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.evaluation.measure import LoadedModel, truth_of
from ubcn_ros.json_files import as_written
from ubcn_ros.runtime.processing import NATIVE
from ubcn_ros.study.measured import tested_scenes
from ubcn_ros.study.paper import FIGURE_1_LEVELS
from ubcn_ros.study.results_file import check_same, decisive, open_results
from ubcn_ros.study.study import Study, check_last_counts, left_to_train
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.config import decisive as decisive_recipe
from ubcn_ros.training.label_score import LabelScore
from ubcn_ros.training.prerender import rendered_ahead
from ubcn_ros.training.record import scenes_record
from ubcn_ros.training.run import Run
from ubcn_ros.training.run_data import RunData
from ubcn_ros.training.train_run import train

if TYPE_CHECKING:
    from lightning.fabric import Fabric

_STAGE = 'adapt'


@dataclass(kw_only=True)
class DegradationStudy(Study):
    """
    The study in one output folder, which may hold several data sets.

    :param config: recipe of the segmentation network, with the stage adapt alone.
    :param data: training, and tests on the split val.
    :param fabric: launched; its precision is a setting.
    :param kinds: some of ``paper.FIGURE_1_LEVELS``.
    :param seeds: of weights and samples.
    :ivar name: of the data sets, when the study began with them.
    :raises ValueError: a recipe of other stages, that validates, or whose networks see other
        degradations; no split val, or without labels; the folder holds a study with other
        settings, or of other scenes or labels of the data sets.
    """

    file = 'degradations.json'

    config: TrainConfig
    fabric: Fabric
    kinds: Sequence[str]
    seeds: Sequence[int]

    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Read what is there, and refuse what does not belong to it."""
        if [*self.config.stages] != [_STAGE]:
            raise ValueError(f'the recipe {self.config.name!r} has the stages '
                             f'{", ".join(self.config.stages) or "(none)"}: a study of '
                             f'degradations takes one with {_STAGE} alone, such as degradations')
        check_last_counts(self.config)
        _ = [self.trained_config(kind, level, 0) for kind in self.kinds
             for level in FIGURE_1_LEVELS[kind]]
        recipe = decisive_recipe(self.config, _STAGE)
        del recipe['seed']
        self.results = open_results(self.path, self.command, {
            'recipe': recipe, 'stride': self.stride, 'limit': self.limit,
            'precision': self.fabric._precision.precision}, {'data': {}}, _read)
        self.scenes = tested_scenes(self.data, self.config.data.short_side)
        tested = replace(self.scenes, scenes=tuple(
            self.scenes.scenes[index] for index in self.indices))
        found = {'training': scenes_record(self.training), 'scenes': scenes_record(tested),
                 **self.data_settings}
        begun = {name: {key: data.get(key) for key in found}
                 for name, data in self.results['data'].items()}
        with as_written(self.path, 'ubcn study degradations'):
            self.name = next((name for name, data in begun.items()
                              if decisive(data) == decisive(found)),
                             '+'.join(each.name for each in self.data.sets))
        check_same(self.path, begun.get(self.name, found), found,
                   f'has figures of other scenes or labels of {self.name}')
        self.found: dict[str, Any] = self.results['data'].setdefault(
            self.name, {'command': self.command, **found, 'miou': {}})

    @property
    def segmentation(self) -> str:
        """Name of the segmentation network."""
        return model_config(self.config, self.data.label_set).segmentation

    def trained_config(self, kind: str, level: float, seed: int) -> TrainConfig:
        """Return the recipe of one network; level 0 is the same of all kinds."""
        stage = self.config.stages[_STAGE]
        samples = replace(stage.samples, degradation=kind if level else '',
                          degradation_level=float(level))
        name = f'{kind}-{level:g}' if level else 'clean'
        return replace(self.config, name=f'{self.config.name}-{name}', seed=seed,
                       stages={_STAGE: replace(stage, samples=samples)})

    @cached_property
    def training(self) -> SceneList:
        """Scenes that all networks are trained on: the same ones, which are decoded once."""
        return RunData(self.data, self.config.data).training

    def train(self) -> None:
        """
        Train and test everything that is not done yet, the first seed first.

        What diverges is said, and left out.

        :raises ValueError: all that was ever trained on these data diverged.
        """
        errors = self.found.setdefault('errors', {})
        for seed, kind in product(self.seeds, self.kinds):
            for level in FIGURE_1_LEVELS[kind]:
                rows = self.found['miou'].setdefault(kind, {}).setdefault(f'{level:g}', {})
                if str(seed) in rows:
                    continue
                training = training_title(kind, level, seed)
                try:
                    if training not in errors:
                        rows[str(seed)] = self._tested(self._trained(kind, level, seed), kind)
                except FloatingPointError as error:
                    errors[training] = str(error)
                if training in errors:
                    self.say(f'{training}: {errors[training]}')
                self.save()
        if not tables_of(self.found['miou']):
            raise ValueError(f'no training on {self.name} came to its end, all diverged as said '
                             f'above: give the recipe {self.config.name!r} a lower lr, and '
                             'choose another --out')

    def _trained(self, kind: str, level: float, seed: int) -> Path:
        """Train a network, or what is left of it; returns its file."""
        config = self.trained_config(kind, level, seed)
        run = Run(config, self.data, self.out / self.name / f'seed-{seed}' / config.name,
                  precision=self.fabric._precision.precision, command=self.command,
                  fingerprints=self.found['files'])
        run.used.training = self.training
        stages = left_to_train(run)
        if stages or not run.files.result.is_file():
            self.say(f'training {config.name} on {self.name}, seed {seed}')
            self.save()  # with other settings it does not go on
            train(run, self.fabric, stages, self.workers)
        return run.files.result

    @torch.inference_mode()
    def _tested(self, path: Path, kind: str) -> dict[str, float]:
        """Test a network at every level of a kind; returns mIoU in % by level."""
        self.say(f'testing {path.stem} in {kind}')
        loaded = LoadedModel.load(path, str(self.fabric.device), needs=('segmentation',),
                                  processing_size=NATIVE)
        levels, scenes = FIGURE_1_LEVELS[kind], self.scenes
        scores = [LabelScore(scenes.label_set, loaded.device, scenes.groups) for _ in levels]
        degraded = partial(degraded_scene, scenes, [Degradation(kind, level) for level in levels])
        for images, labels in rendered_ahead(degraded, self.indices, self.workers):
            truth = truth_of(labels, loaded.device)
            for image, score in zip(images, scores, strict=True):
                score.add(loaded.segment(loaded.upload(image)), truth)
        return {f'{level:g}': score.result()['miou']
                for level, score in zip(levels, scores, strict=True)}


def degraded_scene(scenes: SceneList, degradations: Sequence[Degradation], index: int
                   ) -> tuple[list[np.ndarray], np.ndarray]:
    """
    Return a scene in several degradations; its index is their seed, as for ``rainy_view``.

    :return: [(H, W, 3) uint8 RGB of each degradation], (H, W) uint8 labels.
    """
    frame = scenes.scenes[index].read()
    depth = complete_depth(frame.depth, frame.labels, scenes.class_names)
    return [degraded(frame.image, index, depth) for degraded in degradations], frame.labels


def training_title(kind: str, level: float, seed: int) -> str:
    """Name a training as the errors of the file do."""
    return f'{f"{kind} {level:g}" if level else "clean"}, seed {seed}'


def _read(results: Mapping[str, Any]) -> None:
    for data in results['data'].values():
        _ = data['training'], data['scenes'], tables_of(data['miou'])


def tables_of(miou: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]]
              ) -> dict[str, np.ndarray]:
    """
    Return what was measured of a data set, for ``claims``.

    :param miou: of a data set in the file.
    :return: by kind (S, 4, 4), [seed][level of training][level of test] in %, NaN where it was
        not measured; the seeds in their order.
    """
    tables = {}
    for kind, rows in miou.items():
        levels = [f'{level:g}' for level in FIGURE_1_LEVELS[kind]]
        seeds = seeds_of(rows)
        values = [[[rows.get(train, {}).get(str(seed), {}).get(test) for test in levels]
                   for train in levels] for seed in seeds]
        if seeds:
            tables[kind] = np.array(values, float)  # None becomes NaN
    return tables


def seeds_of(rows: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Return the seeds that any network of a kind was trained with, in their order."""
    return sorted({int(seed) for row in rows.values() for seed in row})
