# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One stage of training on Lightning Fabric: on CPU, one GPU or many."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger
from tqdm import tqdm

from ubcn_ros.data.scenes import DataSetError, SceneList
from ubcn_ros.images.files import write_image
from ubcn_ros.network import UBCN
from ubcn_ros.runtime.processing import NATIVE
from ubcn_ros.runtime.weights import save_model
from ubcn_ros.stopping import Stopped, signals_held, signals_noted, stop_on_signals
from ubcn_ros.training.architecture import initialize
from ubcn_ros.training.averaging import MovingAverage
from ubcn_ros.training.batches import make_samples, training_batches, useful_workers
from ubcn_ros.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ubcn_ros.training.config import STAGES, StageConfig, TrainConfig
from ubcn_ros.training.layout import lay_out
from ubcn_ros.training.losses import class_weights, group_members
from ubcn_ros.training.optimizers import lr_factor, make_optimizer, new_scaler
from ubcn_ros.training.pictures import ValidationPictures, image_summary
from ubcn_ros.training.results import ResultsTable, is_better
from ubcn_ros.training.samples import TrainingSamples, batch_numbers
from ubcn_ros.training.stages import STAGE_CLASSES, check_labels
from ubcn_ros.training.tensors.samples import TensorSamples, release_kept
from ubcn_ros.training.validation import validate

BEST, LAST = 'best.safetensors', 'last.safetensors'
"""What a stage leaves in its folder; LAST comes last, and says that the stage is finished."""
SHEET = 'validation.jpg'  # pictures of the last validation

_LOG_EVERY = 20


class Trainer:
    """
    Train one stage; leaves last.ckpt, best.safetensors, last.safetensors and validation.jpg.

    The best is that of the validation with the highest figure (``Stage.quality``), the first of
    equals; without validation scenes it is the last. Several processes share every batch and
    average their gradients. Each normalises by its own share; the statistics that are kept are
    those of process 0, which validates and writes. With ``ema_decay`` what is validated and
    written as a model is the moving average of the weights.

    :param fabric: launched Fabric (devices, precision, processes).
    :param config: the recipe.
    :param stage_name: which of its stages.
    :param network: what is trained, in place.
    :param training, validation: scenes with the labels of the network; validation may be None.
    :param folder: of the stage's files; made with the first of them.
    :param workers: processes that render samples, at most: see ``useful_workers``.
    :param log: folder of the TensorBoard log.
    :param results: table of the validations.
    :param settings: what decides on the weights, in plain values: a checkpoint of other ones is
        not resumed.
    :param record: makes a model file's metadata of the optimizer steps and the figures.
    :param title: of the progress bar.
    :param side: short side that validation frames are labelled at, as of ``validate``.
    :raises ValueError: scenes to train on without labels where the stage needs them.
    """

    def __init__(self, fabric: Fabric, config: TrainConfig, stage_name: str, network: UBCN,
                 training: SceneList, validation: SceneList | None, folder: Path,
                 workers: int, *, log: Path, results: ResultsTable, settings: dict[str, Any],
                 record: Callable[[int, dict[str, float]], dict[str, Any]], title: str,
                 side: int = NATIVE) -> None:
        self.stage_config: StageConfig = config.stages[stage_name]
        self.fabric, self.config, self.stage_name = fabric, config, stage_name
        self.network, self.training, self.validation = network, training, validation
        self.folder = folder
        self.workers = useful_workers(self.stage_config.samples, self.stage_config.batch, workers,
                                      fabric.world_size)
        self.log, self.results, self.settings = log, results, settings
        self.record, self.title, self.side = record, title, side
        self.optimizer_step = 0
        self.best: dict[str, float] = {}  # 'step' and 'quality' of the best validation
        self.scores: dict[str, float] = {}  # of the last validation
        self.due: float | None = None  # loss of the last optimizer step, until it is validated
        check_labels(stage_name, self.stage_config, training)
        weights = (class_weights(training)
                   if self.stage_config.class_balance and stage_name != 'derain' else None)
        torch.manual_seed(config.seed)  # of what a stage adds to the network
        members = group_members(training.groups, network.label_set.num_classes)
        stage = STAGE_CLASSES[stage_name](network, self.stage_config, weights, members)
        initialize(stage, config.model, kept=network)
        lay_out(stage, fabric.device, fabric._precision.precision)
        if self.stage_config.compile:
            stage.compile()
        groups = stage.parameter_groups()
        self.scaler = new_scaler(fabric)
        # where gradients are scaled, a fused optimizer leaves no moment to clip them
        fused = fabric.device.type == 'cuda' and self.scaler is None
        optimizers = [make_optimizer(parameters, c, fused) for parameters, c in groups]
        self.optimizer_configs = [c for _, c in groups]
        self.stage, *self.optimizers = fabric.setup(stage, *optimizers)
        self.average = (MovingAverage(network, self.stage_config.ema_decay)
                        if self.stage_config.ema_decay else None)

    def samples(self) -> TrainingSamples | TensorSamples:
        """Make the samples that the stage trains on."""
        if not self.stage_config.samples.on_device:
            release_kept()  # of stages before: this one needs the memory
        return make_samples(self.training, self.stage_config.samples, self.config.seed,
                            self.fabric.device, self.workers)

    def _state(self) -> dict[str, Any]:
        return {'stage': self.stage, 'optimizer_step': self.optimizer_step, 'best': self.best,
                'scores': self.scores, 'due': self.due, 'settings': self.settings,
                **({} if self.average is None else {'average': self.average}),
                **({} if self.scaler is None else {'scaler': self.scaler}),
                **{f'optimizer_{i}': o for i, o in enumerate(self.optimizers)}}

    def resume(self) -> bool:
        """
        Continue from the checkpoint if there is one; True if so. No pickled code is run.

        :raises ValueError: it is damaged; or of another recipe or of other settings, naming what
            differs.
        """
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return False
        state = self._state()
        load_checkpoint(self.fabric, path, state)
        self.optimizer_step = int(state['optimizer_step'])
        self.best, self.scores, self.due = state['best'], state['scores'], state['due']
        return True

    def discard(self) -> None:
        """Remove what an earlier run of the stage left."""
        if self.fabric.is_global_zero:
            discard_stage(self.folder, self.log, self.results, self.stage_name)
        self.fabric.barrier()

    def save(self) -> None:
        """Write the checkpoint; a kill at any moment leaves the old one or the new one."""
        save_checkpoint(self.fabric, self.folder / CHECKPOINT, self._state())

    def fit(self) -> None:
        """
        Train to the end of the stage.

        :raises FloatingPointError: the loss is no longer finite; the last checkpoint is from
            before.
        :raises Stopped: by a signal, to any of the processes, after a checkpoint.
        :raises DataSetError, OSError: a file cannot be read or written, or a worker process was
            ended (ChildProcessError); after a checkpoint, where a single process trains.
        """
        c, fabric = self.stage_config, self.fabric
        numbers = batch_numbers(self.optimizer_step, c.optimizer_steps, c.batch,
                                fabric.global_rank, fabric.world_size,
                                STAGES.index(self.stage_name))
        batches = training_batches(fabric, self.samples(), numbers, self.workers)
        logger = self._logger() if fabric.is_global_zero else None
        self.stage.train()
        with self._saved_when_stopped() as noted, tqdm(
                total=c.optimizer_steps, initial=self.optimizer_step, desc=self.title,
                mininterval=5, disable=not fabric.is_global_zero) as bar:
            if self.due is not None:  # stopped before it had been validated
                self._validate(logger)
                self.save()
            for batch in batches:
                with signals_held():  # a checkpoint is of whole steps
                    loss, logs = self.train_step(batch)
                    self.optimizer_step += 1
                    if (self.optimizer_step >= c.optimizer_steps
                            or self.optimizer_step % c.validate_every == 0):
                        self.due = float(loss)
                bar.update()
                saves = self.due is not None or self.optimizer_step % c.save_every == 0
                logs_now = (self.optimizer_step >= c.optimizer_steps
                            or self.optimizer_step % _LOG_EVERY == 0)
                if saves or logs_now:
                    self._check_finite(loss, saves)
                if logger is not None and logs_now:
                    self._write_log(logger, loss, logs, bar)
                if self.due is not None:
                    self._validate(logger)
                if saves:  # after the validation: a resumed run knows the best
                    self.save()
                if fabric.world_size > 1 and (saves or logs_now or fabric.device.type == 'cpu'):
                    self._stop_together(noted)
        if logger is not None:
            with self._averaged():
                if self.validation is None:
                    self._save_model(BEST)
                self._save_model(LAST)
            logger.finalize('success')
        fabric.barrier()

    @contextlib.contextmanager
    def _saved_when_stopped(self) -> Iterator[list[int]]:
        """
        Write a checkpoint when a signal, a file or the end of a worker stops this process.

        Several processes would wait for this one: it notes signals for ``_stop_together``.
        """
        if self.fabric.world_size > 1:
            with signals_noted() as noted:
                yield noted
            return
        with stop_on_signals():
            try:
                yield []
            except (Stopped, DataSetError, OSError):
                if self.optimizer_step:
                    self._save_stopped()
                raise

    def _save_stopped(self) -> None:
        self._check_finite(torch.zeros(()), weights=True)
        self.save()
        self.fabric.print(f'the checkpoint is of optimizer step {self.optimizer_step} of '
                          f'{self.stage_name}')

    def _stop_together(self, noted: list[int]) -> None:
        """
        Stop all of several processes with a checkpoint, where one of them has noted a signal.

        All call this after the same steps; a GPU only after those where it is waited for anyway.
        """
        number = int(self.fabric.all_reduce(
            torch.tensor(max(noted, default=0), device=self.fabric.device), reduce_op='max'))
        if not number:
            return
        self._save_stopped()
        raise Stopped(number)

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """Let the network have the moving average of its weights, if there is one."""
        return contextlib.nullcontext() if self.average is None else self.average.applied()

    def _logger(self) -> TensorBoardLogger:
        """Log and results; what a killed run left there after its checkpoint is dropped."""
        self.results.forget(self.stage_name, self.optimizer_step - (self.due is not None))
        return TensorBoardLogger(self.log.parent, name=self.log.name, version='',
                                 purge_step=(self.optimizer_step + 1 if self.optimizer_step
                                             else None))

    def _write_log(self, logger: TensorBoardLogger, loss: torch.Tensor, logs: dict, bar: tqdm
                   ) -> None:
        values = {k: float(v) for k, v in logs.items()}
        lrs = {f'lr_{i}': o.param_groups[0]['lr'] for i, o in enumerate(self.optimizers)}
        logger.log_metrics({'loss': float(loss), **values, **lrs}, self.optimizer_step)
        bar.set_postfix({k: f'{v:.4f}' for k, v in values.items()})

    def train_step(self, batch: dict[str, torch.Tensor],
                   done: Callable[[str], object] = lambda _part: None
                   ) -> tuple[torch.Tensor, dict]:
        """
        Take one optimizer step; returns the loss and values to log.

        :param done: called after each part: 'forward', 'backward' and 'optimizer'.
        """
        # a seed of its own: a resumed run draws what the uninterrupted one would have drawn, and
        # each of several processes draws for its own share of the batch
        draw = self.optimizer_step * self.fabric.world_size + self.fabric.global_rank
        torch.manual_seed(self.config.seed * 1_000_003 + draw)
        for optimizer, config in zip(self.optimizers, self.optimizer_configs, strict=True):
            progress = self.optimizer_step / self.stage_config.optimizer_steps
            lr = config.lr * lr_factor(config, progress)
            for group in optimizer.param_groups:
                group['lr'] = lr
        loss, logs = self.stage(batch)
        done('forward')
        self.fabric.backward(loss)
        done('backward')
        for optimizer in self.optimizers:
            if self.stage_config.grad_clip_norm:
                self.fabric.clip_gradients(self.stage, optimizer,
                                           max_norm=self.stage_config.grad_clip_norm,
                                           error_if_nonfinite=False)
            if self.scaler is None:
                optimizer.step()
            else:  # Fabric's step would change the scale under the next optimizer's gradients
                self.scaler.step(optimizer.optimizer)
            optimizer.zero_grad()
        if self.scaler is not None:
            self.scaler.update()
        if self.average is not None:
            self.average.update(self.optimizer_step + 1)
        done('optimizer')
        return loss.detach(), logs

    def _check_finite(self, loss: torch.Tensor, weights: bool) -> None:
        # of all processes, which end together: the others would wait for the one
        loss = self.fabric.all_reduce(loss.to(self.fabric.device))
        what = '' if torch.isfinite(loss) else f'the loss of {self.stage_name} is {float(loss)}'
        # of a finite loss, too, the gradient can be infinite: no such network is saved
        if not what and weights and not all(bool(torch.isfinite(value).all()) for value in
                                            self.network.state_dict().values()):
            what = f'weights that {self.stage_name} trains are not finite'
        if what:
            norm = self.stage_config.grad_clip_norm
            clipping = f'a grad_clip_norm below {norm:g}' if norm else 'a grad_clip_norm such as 1'
            raise FloatingPointError(
                f'{what} at optimizer step {self.optimizer_step}: start again with a lower lr, a '
                f'longer warm_up or {clipping} (0 clips nothing)')

    def _validate(self, logger: TensorBoardLogger | None) -> None:
        """Validate where it is due, in the process that has the logger."""
        if logger is not None:
            with self._averaged():
                self._measure(logger)
        self.due = None

    def _measure(self, logger: TensorBoardLogger) -> None:
        """Measure, write a row of the results, and keep the network if it is the best yet."""
        text = ''
        if self.validation is not None:
            where = f'{self.stage_name}, optimizer step {self.optimizer_step}'
            pictures = ValidationPictures(
                self.network.label_set, self.stage.module.measures,
                min(self.config.data.validation_images, len(self.validation)))
            self.scores = validate(self.fabric, self.stage.module, self.validation,
                                   self.config.data, pictures, self.side, f'{where}: validation')
            sheet = pictures.sheet(f'{self.config.name}: {where}', self.scores)
            write_image(self.folder / SHEET, sheet)
            logger.experiment.file_writer.add_summary(
                image_summary('validation', self.folder / SHEET, sheet), self.optimizer_step)
            logger.log_metrics(self.scores, self.optimizer_step)
            quality = self.stage.module.quality(self.scores)
            if is_better(quality, self.best.get('quality', math.nan)) or not self.best:
                self._save_model(BEST)  # before it counts: a stop between repeats this
                self.best = {'step': self.optimizer_step, 'quality': quality}
                text = ' (the best so far)'
            tqdm.write(f'{where}: ' +
                       ', '.join(f'{k} {v:.2f}' for k, v in self.scores.items()) + text)
        self.results.add(self.stage_name, self.optimizer_step, self.due, self.scores)

    def _save_model(self, name: str) -> None:
        save_model(self.folder / name, self.network, self.record(self.optimizer_step, self.scores))


def discard_stage(folder: Path, log: Path, results: ResultsTable, stage: str) -> None:
    """Remove what a run of a stage left, and nothing else."""
    for path in (*(folder / name for name in (LAST, BEST, CHECKPOINT)),
                 *folder.glob('*.partial'), folder / SHEET,
                 *log.glob('events.out.tfevents.*')):
        path.unlink(missing_ok=True)
    results.forget(stage)
