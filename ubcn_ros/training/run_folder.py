# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What lies in the output folder of a training run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from ubcn_ros.runtime.model_info import ModelFileError
from ubcn_ros.runtime.weights import SUFFIX, load_model
from ubcn_ros.training.checkpoint import CHECKPOINT
from ubcn_ros.training.config import STAGES, TrainConfig, find_stage
from ubcn_ros.training.results import ResultsTable
from ubcn_ros.training.trainer import BEST, LAST, discard_stage

ARGUMENTS = 'args.yaml'
"""Command, options, recipe and data of the last start."""

_TABLES = ('results.csv', 'samples.jpg', ARGUMENTS)


@dataclass(frozen=True)
class RunFolder:
    """
    The output folder of a recipe, whose files tell which stages are done.

    :param config: the recipe.
    :param out: the folder.
    """

    config: TrainConfig
    out: Path

    @property
    def result(self) -> Path:
        """Path of the model file that the run makes."""
        return self.out / f'{self.config.name}{SUFFIX}'

    @property
    def results(self) -> ResultsTable:
        """Figures of all validations."""
        return ResultsTable(self.out / 'results.csv')

    @property
    def init(self) -> str:
        """The model to start from that the last start was given, as typed; '' for none."""
        try:
            said = yaml.safe_load((self.out / ARGUMENTS).read_bytes())
            return str(said['options']['init'] or '')
        except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError):
            return ''

    def folder(self, stage: str) -> Path:
        """Return the folder of a stage's files."""
        return self.out / 'stages' / stage

    def finished(self, stage: str) -> bool:
        """Return whether a stage has been trained to its end."""
        return (self.folder(stage) / LAST).is_file()

    def begun(self, stage: str) -> Path | None:
        """Return one of the files that a run of the stage left, if there is one."""
        return next((path for name in (LAST, CHECKPOINT, BEST)
                     if (path := self.folder(stage) / name).exists()), None)

    def log(self, stage: str) -> Path:
        """Return the folder of what TensorBoard shows of a stage."""
        return self.out / 'log' / stage

    def asked(self, stage: str | None) -> list[str]:
        """Return the stages that are meant: one, or all; ValueError where there is none."""
        if stage is not None:
            find_stage(self.config, stage)
        if not self.config.stages:
            raise ValueError(f'the recipe {self.config.name!r} has no stages: give it some of '
                             f'{", ".join(STAGES)}')
        return list(self.config.stages) if stage is None else [stage]

    def check_free(self, stage: str | None = None, resume: bool = False, overwrite: bool = False
                   ) -> None:
        """
        Check that nothing is there that would be lost.

        :param stage, resume, overwrite: as of ``Run.plan``.
        :raises ValueError: no such stage, or an earlier run is there.
        """
        asked = self.asked(stage)
        if overwrite:
            return
        begun = [path for name in asked if (path := self.begun(name))]
        result_is_there = self.last in asked and self.result.exists()
        if resume and result_is_there and not begun:
            raise ValueError(f'{self.result} is there from an earlier run, but no {CHECKPOINT} to '
                             'resume from: give --overwrite to start again, or another --out')
        if resume:
            return
        if result_is_there:
            begun.insert(0, self.result)
        if len(asked) == len(self.config.stages):
            begun += [path for name in _TABLES if (path := self.out / name).exists()]
        if begun:
            raise ValueError(f'{begun[0]} is there from an earlier run: give --resume to go on '
                             'with it, --overwrite to start again, or another --out')

    def check_kept(self, init: Path, stage: str | None) -> None:
        """Raise ValueError where ``discard`` would remove the model to start from."""
        removed = [self.folder(name) / file for name in ([stage] if stage else STAGES)
                   for file in (BEST, LAST)]
        if stage in (None, self.last):
            removed.append(self.result)
        if os.path.realpath(init) in map(os.path.realpath, removed):
            raise ValueError(f'{init} is what to start from, and what --overwrite would remove: '
                             'copy it to another folder, or choose another --out')

    def check_best(self, stage: str) -> None:
        """Raise ValueError where the best network of a stage is lost."""
        path = self.folder(stage) / BEST
        try:
            if not path.is_file():
                raise ModelFileError(f'{path} is missing')
            load_model(path)
        except ModelFileError as error:
            raise ValueError(f'{error}: bring it back, or train the stage again with --overwrite '
                             f'--stage {stage}') from error

    def check_result(self) -> None:
        """Raise ValueError where the result is there, but damaged."""
        try:
            if self.result.is_file():
                load_model(self.result)
        except ModelFileError as error:
            raise ValueError(f'{error}: or remove it, and --resume writes it again') from error

    @property
    def last(self) -> str:
        """Return the stage that comes last."""
        return list(self.config.stages)[-1]

    def before(self, stage: str) -> str | None:
        """Return the stage whose best a stage starts from, None for the first."""
        names = list(self.config.stages)
        place = names.index(stage)
        return names[place - 1] if place else None

    def best_before(self, stage: str) -> Path | None:
        """Return the best network of the stage before, where that is finished."""
        before = self.before(stage)
        return self.folder(before) / BEST if before and self.finished(before) else None

    @property
    def figures(self) -> dict[str, float | None]:
        """Figures of the result's validation, by name; empty where there is no result."""
        if not self.result.is_file():
            return {}
        return load_model(self.result)[1].metadata.get('validation', {})

    def discard(self, stage: str | None) -> None:
        """Remove what an earlier run left of a stage, or of all; nothing else in the folder."""
        if stage is None or stage == self.last:  # first: one that is there is not written again
            self.result.unlink(missing_ok=True)
        for name in [stage] if stage else STAGES:
            discard_stage(self.folder(name), self.log(name), self.results, name)
        if stage is None:
            for name in _TABLES:
                (self.out / name).unlink(missing_ok=True)
