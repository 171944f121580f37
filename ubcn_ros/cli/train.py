# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train`: one stage of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    COUNT,
    OUTPUT_FOLDER,
    data_option,
    precision_option,
    threads_option,
)
from ubcn_ros.runtime.installed import shared_folders

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from ubcn_ros.training.config import TrainConfig
    from ubcn_ros.training.trainer import Trainer


class _Recipe(click.Path):
    """Path of a recipe, or the name of one of config/train."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = Path(value)
        if path.suffix or path.exists():
            return super().convert(value, param, ctx)
        folders = shared_folders('config/train')
        for folder in folders:
            if (folder / f'{value}.yaml').is_file():
                return folder / f'{value}.yaml'
        known = sorted({file.stem for folder in folders for file in folder.glob('*.yaml')})
        return self.fail(f'no recipe {value!r}: give the path of a .yaml file, or one of '
                         f'{", ".join(known) or "(none)"}', param, ctx)


@click.command(cls=Command)
@click.argument('recipe', type=_Recipe(exists=True, dir_okay=False, path_type=Path))
@click.option('--stage', help='Stage to train, of those in the recipe.  [required]')
@data_option()
@click.option('--out', type=OUTPUT_FOLDER,
              help='Output folder [default: runs/NAME of the recipe].')
@click.option('--resume', is_flag=True,
              help="Continue from the stage's checkpoint, if there is one, with the same recipe.")
@click.option('--overwrite', is_flag=True,
              help='Start again; what an earlier run of the stage left in OUT is removed.')
@click.option('--steps', type=click.IntRange(1, 1 << 40),
              help="Train this many steps instead of the recipe's.")
@click.option('--accelerator', default='auto', show_default=True,
              type=click.Choice(['auto', 'cpu', 'cuda', 'gpu', 'mps']))
@click.option('--devices', default=1, show_default=True, type=COUNT,
              help='Devices (or CPU processes).')
@click.option('--nodes', default=1, show_default=True, type=COUNT, help='Machines.')
@precision_option(
    type=click.Choice(['auto', '32-true', 'bf16-mixed', '16-mixed', '64-true']),
    help='auto is bf16-mixed, or 32-true on a processor that would only emulate it.')
@click.option('--workers', default=1, show_default=True, type=click.IntRange(0, 1024),
              help='Processes that render samples.')
@threads_option(help='CPU threads per process [default: all cores].')
@click.option('--half', is_flag=True,
              help='Keep convolution weights in fp16 in the model file: half the size.')
def train(recipe: Path, stage: str | None, data: Path, out: Path | None, resume: bool,
          overwrite: bool, steps: int | None, accelerator: str, devices: int, nodes: int,
          precision: str, workers: int, threads: int | None, half: bool) -> None:
    """
    Train one stage of a recipe.

    RECIPE is the name of one in config/train/, or the path of a .yaml file; its stages are
    derain, adapt, attend and joint, or variants of these, each trained by a run of its own.

    Leaves OUT/STAGE.safetensors, a model file, and OUT/STAGE.ckpt to resume from. Where one of
    them is there already, nothing is done without --resume or --overwrite.
    """
    if resume and overwrite:
        raise click.UsageError('give --resume or --overwrite, not both')
    _check_devices(accelerator, devices)
    config = _load_recipe(recipe, stage, steps)
    out = out or Path('runs') / config.name
    _check_free(out, stage, resume, overwrite)
    _check_start(config, stage, out)

    import torch

    from ubcn_ros.data.mixture import open_data
    from ubcn_ros.training.trainer import Trainer
    if threads:
        torch.set_num_threads(threads)
    sets = open_data([data])
    training = sets.split('train', exclude=config.data.exclude)
    validation = sets.split('val') if 'val' in sets.splits else None
    fabric = _launch(stage, accelerator, devices, nodes, precision)
    torch.backends.cudnn.benchmark = True  # every step has the same shapes
    trainer = Trainer(fabric, config, stage, training, validation, out, workers)
    if overwrite:
        trainer.discard()
    if resume:
        fabric.print(f'resumed at optimizer step {trainer.optimizer_step}' if trainer.resume() else
                     f'{trainer.checkpoint_path} is not there: starting from the beginning')
    _fit(trainer, half)
    fabric.print(f'wrote {trainer.model_path}')


def _load_recipe(recipe: Path, stage: str | None, steps: int | None) -> TrainConfig:
    """Load a recipe that has this stage; with other optimizer steps where they are given."""
    from ubcn_ros.training.config import TrainConfig
    config = TrainConfig.load(recipe)
    if stage is None:
        raise click.UsageError(f'--stage is missing: the recipe {config.name!r} has '
                               f'{", ".join(config.stages) or "none"}')
    from ubcn_ros.training.trainer import find_stage, shortened
    find_stage(config, stage)
    return shortened(config, stage, steps) if steps else config


def _launch(stage: str, accelerator: str, devices: int, nodes: int, precision: str) -> Fabric:
    """Start the processes that train together."""
    from lightning.fabric import Fabric
    strategy = 'auto'
    if devices != 1 or nodes != 1:
        # no loss of the joint stage reaches the auxiliary heads: DDP must look for them
        strategy = 'ddp_find_unused_parameters_true' if stage.startswith('joint') else 'ddp'
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes,
                    precision=_precision(precision, accelerator), strategy=strategy)
    fabric.launch()
    return fabric


def _fit(trainer: Trainer, half: bool) -> None:
    try:
        trainer.fit(half)
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        text = str(error)
        if 'Original Traceback' in text:  # of a process that renders samples
            text = text.strip().splitlines()[-1].split(': ', 1)[-1]
        raise ValueError(text) from error


def _check_free(out: Path, stage: str, resume: bool, overwrite: bool) -> None:
    """Raise UsageError where the run would overwrite an earlier one unasked."""
    checkpoint, model = (out / f'{stage}.{suffix}' for suffix in ('ckpt', 'safetensors'))
    if overwrite or (resume and (checkpoint.exists() or not model.exists())):
        return
    if resume:
        raise click.UsageError(f'{model} is there from an earlier run, but no {checkpoint.name} '
                               'to resume from: give --overwrite to start again, or another --out')
    for path in (checkpoint, model):
        if path.exists():
            raise click.UsageError(f'{path} is there from an earlier run: give --resume to go on '
                                   'with it, --overwrite to start again, or another --out')


def _check_start(config: TrainConfig, stage: str, out: Path) -> None:
    """Raise UsageError where a model file that the stage starts from is missing."""
    for name in config.stages[stage].start.values():
        path = out / name  # `name` alone where it is absolute
        if path.exists():
            continue
        first = Path(name).stem
        remedy = (f'train the stage {first} first' if name == f'{first}.safetensors'
                  and first in config.stages else 'give the --out of the run that wrote it')
        raise click.UsageError(f'{path} is not there, but the stage {stage} starts from it: '
                               f'{remedy}, or change start in the recipe')


def _check_devices(accelerator: str, devices: int) -> None:
    """Raise BadParameter where this machine has no such accelerator, or fewer of them."""
    if accelerator == 'cpu' or (accelerator == 'auto' and devices == 1):
        return
    import torch
    count = (int(torch.backends.mps.is_available()) if accelerator == 'mps' else
             torch.cuda.device_count() if torch.cuda.is_available() else 0)
    if count == 0 and accelerator != 'auto':
        raise click.BadParameter(f'{accelerator!r} is not there: PyTorch sees none; choose '
                                 "'auto' or 'cpu', or install PyTorch with it",
                                 param_hint="'--accelerator'")
    if 0 < count < devices:
        raise click.BadParameter(f'{devices} are asked for, PyTorch sees {count} of '
                                 f'{accelerator!r}', param_hint="'--devices'")


def _precision(precision: str, accelerator: str) -> str:
    if precision != 'auto':
        return precision
    import torch

    from ubcn_ros.runtime.device import cpu_computes_bf16
    on_cpu = accelerator == 'cpu' or (accelerator == 'auto' and not torch.cuda.is_available())
    return '32-true' if on_cpu and not cpu_computes_bf16() else 'bf16-mixed'
