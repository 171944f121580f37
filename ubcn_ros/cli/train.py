# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train`: the stages of a recipe, one after the other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
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
@data_option(multiple=True, type=click.Path(exists=True, path_type=Path),
             help='Data set: a YAML file, or a folder whose layout is known. Several may be '
             'given; the classes are those of the first.')
@click.option('--stage', help='Train this stage alone  [default: all of the recipe].')
@click.option('--init', metavar='MODEL',
              help='Start from this model: a name in models/, or the path of a .safetensors file.')
@click.option('--out', type=OUTPUT_FOLDER,
              help='Output folder [default: runs/NAME of the recipe].')
@click.option('--resume', is_flag=True,
              help='Go on where an earlier run in OUT was stopped, with the same recipe and data.')
@click.option('--overwrite', is_flag=True,
              help='Start again; what an earlier run (with --stage: of that stage) left in OUT is '
              'removed.')
@click.option('--steps', type=click.IntRange(1, 1 << 40),
              help="Train this many steps in each stage instead of the recipe's.")
@click.option('--dry-run', is_flag=True,
              help='Print what would be trained, and train nothing.')
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
              help='Keep convolution weights in fp16 in the result: half the size.')
def train(recipe: Path, data: tuple[Path, ...], stage: str | None, init: str | None,
          out: Path | None, resume: bool, overwrite: bool, steps: int | None, dry_run: bool,
          accelerator: str, devices: int, nodes: int, precision: str, workers: int,
          threads: int | None, half: bool) -> None:
    """
    Train a model by a recipe.

    RECIPE is the name of one in config/train/, or the path of a .yaml file. Its stages (derain,
    adapt, attend and joint) run in this order, each from the best of the one before.

    Leaves the model in OUT/NAME.safetensors and the stages' in OUT/stages/; OUT/results.csv has
    the figures of every validation, OUT/log what TensorBoard shows. Where an earlier run lies in
    OUT, nothing is done without --resume or --overwrite.
    """
    if resume and overwrite:
        raise click.UsageError('give --resume or --overwrite, not both')
    _check_devices(accelerator, devices)
    options = dict(click.get_current_context().params)
    from ubcn_ros.training.config import TrainConfig, shortened
    config = TrainConfig.load(recipe)
    if steps:
        config = shortened(config, steps)

    import torch

    from ubcn_ros.data.mixture import open_data
    from ubcn_ros.training.record import typed_command
    from ubcn_ros.training.run import Run
    if threads:
        torch.set_num_threads(threads)
    run = Run(config, open_data(data), out or Path('runs') / config.name, init, half,
              typed_command(sys.argv[1:]), _plain(options))
    stages = run.plan(stage, resume, overwrite)
    if resume and not stages:
        click.echo(f'nothing is left to train: {run.out} has {", ".join(config.stages)}')
    if dry_run:
        click.echo(f'would train {", ".join(stages) or "nothing"} in {run.out}')
        return
    fabric = _launch('joint' in stages, accelerator, devices, nodes, precision)
    torch.backends.cudnn.benchmark = True  # every step has the same shapes
    if overwrite:
        if fabric.is_global_zero:
            run.discard(stage)
        fabric.barrier()
    with _plain_errors():
        run.train(fabric, stages, workers)


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as YAML has them."""
    return {name: [str(part) for part in value] if isinstance(value, tuple) else
            str(value) if isinstance(value, Path) else value for name, value in options.items()}


def _launch(joint: bool, accelerator: str, devices: int, nodes: int, precision: str) -> Fabric:
    """Start the processes that train together."""
    from lightning.fabric import Fabric
    strategy = 'auto'
    if devices != 1 or nodes != 1:
        # no loss of the joint stage reaches the auxiliary heads: DDP must look for them
        strategy = 'ddp_find_unused_parameters_true' if joint else 'ddp'
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes,
                    precision=_precision(precision, accelerator), strategy=strategy)
    fabric.launch()
    return fabric


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Say what a run ended of in one line."""
    try:
        yield
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        text = str(error)
        if 'Original Traceback' in text:  # of a process that renders samples
            text = text.strip().splitlines()[-1].split(': ', 1)[-1]
        raise ValueError(text) from error


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
