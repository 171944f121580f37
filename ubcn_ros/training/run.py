# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training run: which stages of a recipe an output folder has, and what each starts from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ubcn_ros.data.mixture import Data
from ubcn_ros.labels import LabelSet, numbered_labels
from ubcn_ros.network import UBCN
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.weights import load_model
from ubcn_ros.training.architecture import built
from ubcn_ros.training.checkpoint import (
    CHECKPOINT,
    check_settings,
    checkpoint_info,
    file_hash,
    starting_again,
)
from ubcn_ros.training.config import TrainConfig, decisive, in_optimizer_steps
from ubcn_ros.training.record import (
    decisive_config,
    model_origin,
    network_hash,
    start_origin,
)
from ubcn_ros.training.run_data import RunData
from ubcn_ros.training.run_folder import RunFolder
from ubcn_ros.training.sam_from_idm import check_warm_start
from ubcn_ros.training.stages import check_labels, check_stage
from ubcn_ros.training.starting_network import (
    Start,
    starting_network,
    warm_started,
)
from ubcn_ros.training.trainer import BEST


@dataclass
class Run:
    """
    A recipe, data and an output folder, whose files tell which stages are done.

    :param config: the recipe; afterwards the length of its stages is in optimizer steps.
    :param data: what it is trained on; its split val, where it has one, validates.
    :param out: output folder.
    :param init: model file or name of a shipped model to start from, None to start anew.
    :param half: keep the result's convolution weights in fp16.
    :param precision: as of Lightning's Fabric, that it is trained in.
    :param processes: that share every batch.
    :param command: as typed, for the record.
    :param options: of the command, for args.yaml.
    :param fingerprints: hashes of the data sets' files by name, in their order; empty where
        nobody has read them.
    """

    config: TrainConfig
    data: Data
    out: Path
    init: str | None = None
    half: bool = False
    precision: str = '32-true'
    processes: int = 1
    command: str = ''
    options: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Work out the length of stages that have one in epochs; raises as ``Data.split``."""
        self.config = in_optimizer_steps(
            self.config, lambda stage: len(self.used.scenes(stage)[0]))

    @property
    def files(self) -> RunFolder:
        """The files of the output folder."""
        return RunFolder(self.config, self.out)

    @cached_property
    def label_set(self) -> LabelSet:
        """Of the data; one class without a name where they have no labels, which derain allows."""
        return self.data.label_set or numbered_labels(1)

    @cached_property
    def used(self) -> RunData:
        """What the recipe takes of the data."""
        return RunData(self.data, self.config.data)

    @cached_property
    def initial(self) -> tuple[UBCN, ModelInfo] | None:
        """The model to start from, if any."""
        return None if self.init is None else load_model(self.init)

    @cached_property
    def network(self) -> UBCN:
        """The network of the recipe on the device meta; ValueError where there is none such."""
        if not self.config.model.preset and self.init is None and self.files.init:
            raise ValueError(f'{self.out} was begun with --init {self.files.init}, whose network '
                             f'the recipe {self.config.name!r} takes: give it again')
        start = self.initial and self.initial[0].config
        return built(self.config, self.label_set, start).to('meta')

    def check_free(self, stage: str | None = None, resume: bool = False, overwrite: bool = False
                   ) -> None:
        """
        Check what needs no look at the data; the parameters are those of ``plan``.

        :raises ValueError: no such model, or as of ``RunFolder``.
        """
        if self.initial and overwrite:
            self.files.check_kept(self.initial[1].path, stage)
        self.files.check_free(stage, resume, overwrite)

    def plan(self, stage: str | None = None, resume: bool = False, overwrite: bool = False
             ) -> list[str]:
        """
        Choose the stages to train, in their order; nothing is written.

        :param stage: this one alone, None for all.
        :param resume: leave out those that are finished, and go on in the one that was begun.
        :param overwrite: an earlier run may be there: ``RunFolder.discard`` removes it.
        :raises ValueError: as ``check_free``; the earlier run was of another recipe, other data or
            another start, naming what differs; what the stage starts from is missing, a file of
            another stage is damaged, or the data lack what it needs.
        """
        self.check_free(stage, resume, overwrite)
        asked = self.files.asked(stage)
        network = self.network  # a recipe that describes none is told now
        chosen = [name for name in asked if overwrite or not self.files.finished(name)]
        self._check_start(asked[0])
        if warm_started(self.config, self.label_set, self.initial) in chosen:
            check_warm_start(network.config)
        self.check_stages(chosen)
        self.used.check()
        if resume:
            self._check_begun(asked)
        self.stale(chosen)  # what it cannot read would end the run after its last step
        return chosen

    def check_stages(self, stages: Sequence[str]) -> None:
        """Raise ValueError where data lack what a stage needs, or it cannot train the network."""
        for name in stages:
            check_labels(name, self.config.stages[name], self.used.scenes(name)[0])
            check_stage(name, self.network, self.config.stages[name], self.processes)

    def _check_start(self, stage: str) -> None:
        """Raise ValueError where a stage has nothing to start from, or another network."""
        files, before = self.files, self.files.before(stage)
        if files.best_before(stage):
            files.check_best(before)
            self.start(stage)
        elif before is not None and self.init is None:
            raise ValueError(
                f'the stage {stage} starts from what {before} leaves in {files.folder(before)}, '
                f'which is not finished: train {before} first, leave out --stage to train all, or '
                'give --init MODEL')

    def _check_begun(self, asked: Sequence[str]) -> None:
        """Raise ValueError where a stage to resume was begun with something else."""
        files = self.files
        for name in asked:
            path = files.folder(name) / CHECKPOINT
            if path.is_file():
                check_settings(path, self.settings(name), self._changes(name))
                if checkpoint_info(path).validated or files.finished(name):
                    files.check_best(name)
            elif files.finished(name):
                raise ValueError(f'{path} is missing: nothing says what {files.folder(name)} was '
                                 f'trained on: {starting_again(name)}')
        if files.finished(files.last):
            files.check_result()

    def _changes(self, stage: str) -> dict[str, str]:
        """Say in words what the settings of a stage have a hash of, where that is another now."""
        files, before = self.files, self.files.before(stage)
        if best := files.best_before(stage):
            start = f'it did not start from {best}, as that is now'
        elif self.init:
            start = f'it did not start from the model {self.init}, as that is now'
        elif before:
            start = f'{before}, which it started from, is not finished'
        else:
            start = f'it was begun with --init {files.init or "MODEL"}'
        said = {'start': start}
        for place, found in enumerate(self.data.sets, 1):
            said[f'files.{place}'] = f'the files of {found.source} are not those of before'
        return said

    def stale(self, anew: Collection[str] = ()) -> str | None:
        """
        Return the first stage that started from what has been trained anew since.

        :param anew: stages whose files do not count, as they are about to be trained.
        :raises ValueError: a file that would tell is damaged.
        """
        files = self.files
        for name in filter(files.finished, self.config.stages):
            path = files.folder(name) / CHECKPOINT
            if (name not in anew and files.best_before(name)  # else from --init, if any
                    and path.is_file()):
                start = checkpoint_info(path).start
                if files.before(name) not in anew and start != self._start_hash(name):
                    return name
        return None

    def leaves(self, stages: Sequence[str]) -> Path:
        """
        Return the file that training some stages ends with: the result, or that of the last one.

        :param stages: as of ``plan``, one at least.
        """
        files = self.files
        kept = {*filter(files.finished, self.config.stages)}.difference(stages)
        whole = files.last in kept.union(stages) and not self.stale(stages)
        if whole and not any(files.before(name) in stages for name in kept):
            return files.result
        return files.folder(stages[-1]) / BEST

    def _start_hash(self, stage: str) -> str | None:
        """
        Hash of the network that a stage starts from: of the stage before, or else of --init.

        How that stage was typed, and how the model was calibrated since, changes no weight.
        """
        if best := self.files.best_before(stage):
            return file_hash(best)
        return network_hash(self.initial[0]) if self.initial else None

    def start(self, stage: str) -> Start:
        """Make the network that a stage starts with; raises as ``starting_network``."""
        return starting_network(self.config, self.label_set, stage, self.files.best_before(stage),
                                self.initial)

    def settings(self, stage: str) -> dict[str, Any]:
        """Return what decides on a stage's weights, in plain values."""
        network = decisive_config(self.network.config)
        return {**decisive(self.config, stage), 'label_set': network.pop('label_set'),
                'network': network,
                **self.used.settings(stage, [*self.fingerprints.values()]),
                'precision': self.precision, 'start': self._start_hash(stage)}

    def origin(self, stage: str, new: Collection[str] = ()) -> dict[str, Any]:
        """
        Say what the weights of a stage come from, as ``RunData.origin``.

        Of a stage that was trained on other data than are given, its file says it.

        :param new: stages whose files do not count, as they are about to be trained.
        """
        files, before = self.files, self.files.before(stage)
        checkpoint = files.folder(stage) / CHECKPOINT
        if stage not in new and checkpoint.is_file():
            begun, now = checkpoint_info(checkpoint).settings, self.settings(stage)
            if any(begun.get(key) != now[key] for key in ('scenes', 'labels', 'files', 'start')):
                return model_origin(load_model(files.folder(stage) / BEST)[1])
        if before and (before in new or files.best_before(stage)):
            origin = self.origin(before, new)
        else:
            origin = start_origin(self.initial and self.initial[1])
        return self.used.origin(stage, origin, self.config.stages[stage].samples,
                                [*self.fingerprints.values()])

    def steps_done(self, stage: str) -> int:
        """Return the optimizer step that the checkpoint of a stage goes on at, 0 without one."""
        path = self.files.folder(stage) / CHECKPOINT
        return checkpoint_info(path).optimizer_step if path.is_file() else 0
