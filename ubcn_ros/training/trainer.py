# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One training run on Lightning Fabric: any stage, on CPU, one GPU or many."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger
from tqdm import tqdm

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.labels import LabelSet, numbered_labels
from ubcn_ros.network import UBCN, UBCNConfig, build
from ubcn_ros.runtime.cache import written_to
from ubcn_ros.runtime.weights import PARTS, load_model, save_model
from ubcn_ros.training.config import (
    StageConfig,
    TrainConfig,
    converted,
    decisive,
    differences,
)
from ubcn_ros.training.losses import class_weights, group_members
from ubcn_ros.training.optimizers import lr_factor, make_optimizer
from ubcn_ros.training.samples import (
    SharedBatchSampler,
    TrainingSamples,
    to_float,
    training_loader,
    worker_batches,
)
from ubcn_ros.training.stages import STAGE_CLASSES
from ubcn_ros.training.validation import validate

_LOG_EVERY = 20


def model_config(config: TrainConfig, label_set: LabelSet, stage: StageConfig | None = None
                 ) -> UBCNConfig:
    """
    Network of a recipe: the preset with the recipe's overrides, and the stage's on top of them.

    :raises ValueError: an unknown preset or override.
    """
    preset = UBCNConfig.preset(config.model.preset, label_set)
    values: dict[str, Any] = preset.to_dict()
    del values['label_set']  # of the data, not of a recipe
    for overrides in (config.model.overrides, stage.overrides if stage else {}):
        for key, value in overrides.items():
            if key not in values:
                raise ValueError(f'overrides: unknown {key}; known are {", ".join(values)}')
            values[key] = _overridden(values[key], value, f'overrides.{key}')
    try:
        return UBCNConfig.from_dict({**values, 'label_set': label_set.to_dict()})
    except (TypeError, ValueError) as error:
        raise ValueError(f'overrides: {error}') from error


def _overridden(value: Any, other: Any, where: str) -> Any:
    """Return the other value, in the type of the first; of a mapping what is in the other."""
    if isinstance(value, tuple):
        return other  # of any length; the network checks it
    if not isinstance(value, dict):
        return converted(other, value, where)
    return {**value, **{key: _overridden(value[key], more, f'{where}.{key}')
                        if key in value else more
                        for key, more in converted(other, value, where).items()}}


def built(config: TrainConfig, label_set: LabelSet, stage: StageConfig | None = None) -> UBCN:
    """
    Build the network of a recipe, with random weights.

    :raises ValueError: as ``model_config``, or no network has such sizes or options.
    """
    try:
        return build(model_config(config, label_set, stage))
    except (TypeError, RuntimeError, ZeroDivisionError) as error:
        raise ValueError(f'overrides: the network cannot be built: {error}') from error


class Trainer:
    """
    Run one stage of a recipe and leave STAGE.safetensors in the output folder.

    Several processes share every batch and average their gradients. Each normalises by, and keeps
    the statistics of, its own share; process 0 validates and writes.

    :param fabric: launched Fabric (devices, precision, processes).
    :param config: the recipe.
    :param stage_name: which of its stages.
    :param training, validation: scenes; validation may be None.
    :param out: output folder: checkpoint, TensorBoard log, model file.
    :param workers: processes that render samples.
    :raises ValueError: no such stage; scenes with other labels than the network, or without
        labels where the stage needs them; a model file to start from is missing or of another
        shape.
    """

    def __init__(self, fabric: Fabric, config: TrainConfig, stage_name: str,
                 training: SceneList, validation: SceneList | None, out: Path,
                 workers: int = 1) -> None:
        self.stage_config: StageConfig = find_stage(config, stage_name)
        self.fabric, self.config, self.stage_name = fabric, config, stage_name
        self.training, self.validation, self.out, self.workers = training, validation, out, workers
        self.optimizer_step = 0
        kind = stage_name.split('-')[0]
        _check_labels(config, kind, training, validation)
        torch.manual_seed(config.seed)
        self.network = built(config, training.label_set or numbered_labels(1), self.stage_config)
        self.trained_parts = {*STAGE_CLASSES[kind].trained, *self._start_modules()}
        weights = (class_weights(training)
                   if self.stage_config.class_balance and kind != 'derain' else None)
        groups = group_members(training.groups, self.network.label_set.num_classes)
        stage = STAGE_CLASSES[kind](self.network, self.stage_config, weights, groups)
        stage.to(memory_format=torch.channels_last)
        groups = stage.parameter_groups()
        optimizers = [make_optimizer(parameters, c) for parameters, c in groups]
        self.optimizer_configs = [c for _, c in groups]
        self.stage, *self.optimizers = fabric.setup(stage, *optimizers)

    @property
    def checkpoint_path(self) -> Path:
        """Where the run can be resumed from."""
        return self.out / f'{self.stage_name}.ckpt'

    @property
    def model_path(self) -> Path:
        """The result."""
        return self.out / f'{self.stage_name}.safetensors'

    def _start_modules(self) -> list[str]:
        """Load what the stage starts from; return what of it was trained."""
        trained = []
        for module, name in self.stage_config.start.items():
            if module not in PARTS:
                raise ValueError(f'stages.{self.stage_name}.start: unknown module {module!r}: '
                                 f'choose from {", ".join(PARTS)}')
            path = Path(name) if Path(name).is_absolute() else self.out / name
            source, info = load_model(path)
            trained += {module} & set(info.trained)
            ours, state = getattr(self.network, module), getattr(source, module).state_dict()
            try:
                ours.load_state_dict(state)
            except RuntimeError as error:
                raise ValueError(f'{path} does not fit the {module} of the recipe: {error}'
                                 ) from error
        return trained

    def _state(self) -> dict[str, Any]:
        return {'stage': self.stage, 'optimizer_step': self.optimizer_step,
                'recipe': decisive(self.config, self.stage_name),
                **{f'optimizer_{i}': o for i, o in enumerate(self.optimizers)}}

    def resume(self) -> bool:
        """
        Continue from the checkpoint if there is one; True if so. No pickled code is run.

        :raises ValueError: it is damaged; or of another recipe, naming what differs.
        """
        path = self.checkpoint_path
        if not path.is_file():
            return False
        state = self._state()
        try:
            begun = torch.load(path, map_location='cpu', weights_only=True, mmap=True)['recipe']
            changed = differences(begun, state['recipe'])
            if not changed:
                self.fabric.load(path, state, strict=True, weights_only=True)
        except Exception as error:  # torch raises what it likes for a damaged file
            raise ValueError(f'{path} is damaged, or not a checkpoint of this version: remove it, '
                             f'or choose another output folder ({error!r})') from error
        if changed:
            raise ValueError(f'{path} is of another recipe: {"; ".join(changed)}: resume with '
                             'the recipe and --steps that it was begun with, or start again with '
                             '--overwrite')
        self.optimizer_step = int(state['optimizer_step'])
        return True

    def discard(self) -> None:
        """Remove what an earlier run of the stage left: checkpoint, model file and log."""
        if self.fabric.is_global_zero:
            for path in (self.checkpoint_path, self.model_path,
                         *(self.out / 'log' / self.stage_name).glob('events.out.tfevents.*')):
                path.unlink(missing_ok=True)
        self.fabric.barrier()

    def save(self) -> None:
        """Write the checkpoint; a kill at any moment leaves the old one or the new one."""
        self.out.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint_path.with_name(self.checkpoint_path.name + '.partial')
        with written_to(partial):
            self.fabric.save(partial, self._state())
        if self.fabric.is_global_zero:
            os.replace(partial, self.checkpoint_path)
        self.fabric.barrier()

    def fit(self, half: bool = False) -> dict[str, float]:
        """
        Train to the end of the stage; returns the last validation's figures.

        :param half: keep the model file's convolution weights in fp16.
        :raises FloatingPointError: the loss is no longer finite; the last checkpoint is from
            before.
        """
        c, fabric = self.stage_config, self.fabric
        self.out.mkdir(parents=True, exist_ok=True)
        samples = TrainingSamples(self.training, c.samples, self.config.seed)
        batches = SharedBatchSampler(self.optimizer_step, c.optimizer_steps, c.batch,
                                     fabric.global_rank, fabric.world_size)
        loader = fabric.setup_dataloaders(training_loader(samples, batches, self.workers),
                                          use_distributed_sampler=False)
        # optimizer steps after the checkpoint that a killed run logged are dropped
        logger = (TensorBoardLogger(self.out / 'log', name=self.stage_name, version='',
                                    purge_step=(self.optimizer_step + 1 if self.optimizer_step
                                                else None))
                  if fabric.is_global_zero else None)
        scores: dict[str, float] = {}
        self.stage.train()
        with tqdm(total=c.optimizer_steps, initial=self.optimizer_step, desc=self.stage_name,
                  mininterval=5, disable=not fabric.is_global_zero) as bar:
            for batch in worker_batches(loader):
                loss, logs = self._train_step(batch)
                self.optimizer_step += 1
                last = self.optimizer_step >= c.optimizer_steps
                bar.update()
                saves = last or self.optimizer_step % c.save_every == 0
                if saves or self.optimizer_step % _LOG_EVERY == 0:
                    self._check_finite(loss)
                if logger is not None and (last or self.optimizer_step % _LOG_EVERY == 0):
                    values = {k: float(v) for k, v in logs.items()}
                    lrs = {f'lr_{i}': o.param_groups[0]['lr']
                             for i, o in enumerate(self.optimizers)}
                    logger.log_metrics({'loss': float(loss), **values, **lrs}, self.optimizer_step)
                    bar.set_postfix({k: f'{v:.4f}' for k, v in values.items()})
                if saves:
                    self.save()
                if last or self.optimizer_step % c.validate_every == 0:
                    scores = self._validate(logger)
        # killed after its last checkpoint
        scores = scores or self._validate(logger)
        if fabric.is_global_zero:
            save_model(self.model_path, self.network, self.record(scores), half)
            logger.finalize('success')
        fabric.barrier()
        return scores

    def _train_step(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict]:
        # a seed of its own: a resumed run draws what the uninterrupted one would have drawn
        torch.manual_seed(self.config.seed * 1_000_003 + self.optimizer_step)
        for optimizer, config in zip(self.optimizers, self.optimizer_configs, strict=True):
            progress = self.optimizer_step / self.stage_config.optimizer_steps
            lr = config.lr * lr_factor(config, progress)
            for group in optimizer.param_groups:
                group['lr'] = lr
        loss, logs = self.stage(to_float(batch))
        self.fabric.backward(loss)
        for optimizer in self.optimizers:
            if self.stage_config.grad_clip_norm:
                self.fabric.clip_gradients(self.stage, optimizer,
                                           max_norm=self.stage_config.grad_clip_norm,
                                           error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach(), logs

    def _check_finite(self, loss: torch.Tensor) -> None:
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f'the loss of {self.stage_name} is {float(loss)} at optimizer step '
                f'{self.optimizer_step}: start again with a lower lr, a longer warm_up or a '
                'smaller grad_clip_norm')

    def _validate(self, logger: TensorBoardLogger | None) -> dict[str, float]:
        if self.validation is None or logger is None:
            return {}
        scores = validate(self.fabric, self.stage.module, self.validation,
                          self.config.data.validation_stride,
                          lambda name, picture: logger.experiment.add_image(name, picture,
                                                                            self.optimizer_step))
        logger.log_metrics(scores, self.optimizer_step)
        tqdm.write(f'{self.stage_name} step {self.optimizer_step}: ' +
                   ', '.join(f'{k} {v:.2f}' for k, v in scores.items()))
        return scores

    def record(self, scores: dict[str, float]) -> dict[str, Any]:
        """How this model came about, for its file."""
        return {'command': ' '.join(['ubcn', *sys.argv[1:]]), 'stage': self.stage_name,
                'trained': [part for part in PARTS if part in self.trained_parts],
                'recipe': self.config.to_dict(), 'data': self.training.name,
                'scenes': len(self.training), 'commit': _commit(), 'seed': self.config.seed,
                'optimizer_steps': self.optimizer_step, 'validation': scores}


def find_stage(config: TrainConfig, stage: str) -> StageConfig:
    """Stage of a recipe; ValueError naming those it has."""
    if stage not in config.stages:
        raise ValueError(f'the recipe {config.name!r} has no stage {stage!r}: it has '
                         f'{", ".join(config.stages) or "none"}')
    return config.stages[stage]


def shortened(config: TrainConfig, stage: str, steps: int) -> TrainConfig:
    """Return the recipe with another number of optimizer steps in a stage, for a trial."""
    changed = replace(find_stage(config, stage), optimizer_steps=steps)
    return replace(config, stages={**config.stages, stage: changed})


def _check_labels(config: TrainConfig, kind: str, training: SceneList,
                  validation: SceneList | None) -> None:
    for scenes in (training, validation):
        if scenes is None or kind == 'derain':
            continue
        if scenes.label_set is None:
            raise ValueError(f'the stage {kind} needs labels, {scenes.name} has none: only the '
                             'stage derain trains on pairs')
        if scenes.label_set != training.label_set:
            raise ValueError(f'{scenes.name} has the labels of {scenes.label_set.name}, '
                             f'{training.name} those of {training.label_set.name}')


def _commit() -> str:
    try:
        return subprocess.run(['git', 'describe', '--always', '--dirty'], check=True, text=True,
                              capture_output=True, cwd=Path(__file__).parent).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
