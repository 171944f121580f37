# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train`: the stages of a recipe, one after the other."""

from __future__ import annotations

import contextlib
import fnmatch
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.checked_data import checked_fingerprints, open_kept
from ubcn_ros.cli.commands import Command, typed_command
from ubcn_ros.cli.options import threads_option
from ubcn_ros.cli.param_types import COUNT, OUTPUT_FOLDER
from ubcn_ros.cli.training import (
    StepsType,
    accelerator_option,
    check_devices,
    chosen_precision,
    init_option,
    launch,
    recipe_argument,
    training_data_option,
    training_precision_option,
    workers_option,
)

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from ubcn_ros.training.config import TrainConfig
    from ubcn_ros.training.estimate import StageEstimate
    from ubcn_ros.training.run import Run


@click.command(cls=Command)
@recipe_argument
@training_data_option
@click.option('--stage', help='Train only this stage  [default: all stages of the recipe].')
@init_option
@click.option('--out', type=OUTPUT_FOLDER,
              help="Output folder  [default: runs/NAME, by the recipe's name].")
@click.option('--resume', is_flag=True,
              help='Continue an interrupted run in OUT with the same recipe and data.')
@click.option('--overwrite', is_flag=True,
              help='Start from the beginning; results of an earlier run in OUT (with --stage: '
                   'of that stage) are removed.')
@click.option('--variant', 'variants', multiple=True, metavar='NAME',
              help='Train this variant of the recipe, or all that match a pattern like '
                   "'without-*'; each gets an output folder of its own in OUT  [default: "
                   'runs].')
@click.option('--steps', type=StepsType(), metavar='N',
              help="Optimizer steps of each stage instead of the recipe's; with a % at the "
                   "end, this share of the recipe's.")
@click.option('--dry-run', is_flag=True,
              help='Print what would be trained, and train nothing.')
@accelerator_option
@click.option('--devices', default=1, show_default=True, type=COUNT,
              help='Number of devices, or of CPU processes.')
@click.option('--nodes', default=1, show_default=True, type=COUNT, help='Number of machines.')
@training_precision_option
@workers_option
@threads_option(help='CPU threads per process  [default: all cores].')
@click.option('--half', is_flag=True,
              help='Store convolution weights in fp16: half the file size.')
def train(recipe: Path, data: tuple[Path, ...], stage: str | None, init: str | None,
          out: Path | None, resume: bool, overwrite: bool, variants: tuple[str, ...],
          steps: int | float | None, dry_run: bool, accelerator: str, devices: int, nodes: int,
          precision: str, workers: int, threads: int | None, half: bool) -> None:
    """
    Train a model by a recipe.

    RECIPE is the name of a recipe in config/train/, or the path of a .yaml file. Its stages
    (derain, adapt, attend and joint) run in this order, each starting from the best model of the
    one before.

    The model is written to OUT/NAME.safetensors, and that of each stage to OUT/stages/.
    OUT/results.csv has the figures of every validation, OUT/log the curves for TensorBoard. If OUT
    holds an earlier run, --resume or --overwrite is required.
    """
    if resume and overwrite:
        raise click.UsageError('give --resume or --overwrite, not both')
    check_devices(accelerator, devices)
    options = dict(click.get_current_context().params)
    from ubcn_ros.training.config import TrainConfig, with_length
    configs = _chosen(TrainConfig.load(recipe), variants)
    if len(configs) > 1 and devices * nodes > 1:
        raise click.UsageError('several variants train on one device: give one --variant at a '
                               'time, or --devices 1')
    if steps:
        configs = [with_length(config, steps) for config in configs]

    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.training.run import Run
    from ubcn_ros.training.single_run import single_run
    use_threads(threads)
    opened, folder = open_kept(data), out or Path('runs')
    anew = overwrite or (dry_run and not resume)  # a dry run overwrites nothing
    runs = [Run(config, opened, out if out and not variants else folder / config.name, init,
                half=half, precision=chosen_precision(precision, accelerator),
                processes=devices * nodes, command=typed_command(), options=_plain(options))
            for config in configs]
    for run in runs:
        run.check_free(stage, resume, anew)
        _check_batches(run, stage)
    fingerprints = checked_fingerprints(opened, data)
    for run in runs:
        run.fingerprints = fingerprints
        run.plan(stage, resume, anew)
    failed = {}
    for run in runs:
        with _noted(failed, run), contextlib.nullcontext() if dry_run else single_run(run.out):
            stages = run.plan(stage, resume, anew)  # another run may have ended meanwhile
            fabric = launch(accelerator, precision, devices, nodes, 'joint' in stages)
            if variants:
                fabric.print(f'{run.config.name}:')
            if dry_run:
                _show_plan(run, fabric, stages, anew, workers)
                if told := _in_the_way(run, stage, resume, overwrite):
                    fabric.print(told)
            else:
                _train(run, fabric, stage, stages, overwrite, workers)
    if variants and not dry_run and len(failed) < len(runs):
        _show_figures([run for run in runs if run.config.name not in failed])
    if failed:
        raise click.ClickException('\n'.join(
            f'{name}: {text}' if variants else text for name, text in failed.items()))


def _chosen(config: TrainConfig, variants: Sequence[str]) -> list[TrainConfig]:
    """Return the recipe, or those of its variants that names or patterns choose."""
    if not variants:
        return [config]
    names = [name for name in config.variants
             if any(fnmatch.fnmatchcase(name, wanted) for wanted in variants)]
    for wanted in variants:
        if not fnmatch.filter(names, wanted):
            raise click.BadParameter(
                f'the recipe {config.name!r} has no variant {wanted!r}: choose from '
                f'{", ".join(config.variants) or "none"}', param_hint="'--variant'")
    return [config.variant(name) for name in names]


def _train(run: Run, fabric: Fabric, stage: str | None, stages: Sequence[str], overwrite: bool,
           workers: int) -> None:
    """Train the stages of a run that are left."""
    from ubcn_ros.training import train_run
    if overwrite and fabric.is_global_zero:
        run.files.discard(stage)
    fabric.barrier()
    train_run.train(run, fabric, stages, workers)
    if not stages:
        fabric.print(f'nothing is left to train in {run.out}')


def _show_figures(runs: Sequence[Run]) -> None:
    """Print what the best network of each run reached at its validation."""
    from ubcn_ros.text_table import fixed, table
    found = {run.config.name: run.files.figures for run in runs}
    names = [*dict.fromkeys(name for figures in found.values() for name in figures)]
    click.echo('\n' + table(('recipe', *names), [
        (recipe, *(fixed(figures.get(name)) for name in names))
        for recipe, figures in found.items()]))


def _show_plan(run: Run, fabric: Fabric, stages: Sequence[str], overwrite: bool, workers: int
               ) -> None:
    """Print what would be trained, how long it takes and the memory that it needs."""
    from ubcn_ros.training.estimate import plan_table
    from ubcn_ros.training.starting_network import unestimated_rain, untrained_warning
    if not stages:
        fabric.print(f'nothing is left to train in {run.out}')
        return
    start = run.start(stages[0])
    table = plan_table(_timed(run, fabric, stages, overwrite, workers), start.text)
    warning = untrained_warning(start, stages) + unestimated_rain(start, run.config, stages)
    for line in run.used.left_out:
        fabric.print(line)
    fabric.print(f'{start.details}\n{table}\n{warning}\n{run.out} would get '
                 f'{run.leaves(stages).relative_to(run.out)}; nothing was trained or written')


def _in_the_way(run: Run, stage: str | None, resume: bool, overwrite: bool) -> str:
    """Say what would keep the run from starting, of an earlier one in its folder."""
    try:
        run.check_free(stage, resume, overwrite)
    except ValueError as error:
        return str(error)
    return ''


def _timed(run: Run, fabric: Fabric, stages: Sequence[str], overwrite: bool, workers: int
           ) -> list[StageEstimate]:
    """Time a few steps of each stage, and say so: they may take minutes."""
    from ubcn_ros.training.train_run import estimates
    coming, found = estimates(run, fabric, stages, workers, overwrite=overwrite), []
    for stage in stages:
        fabric.print(f'timing a few steps of {stage}', flush=True)
        found.append(next(coming))
    return found


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as YAML has them, but for those that say only how an earlier run is treated."""
    return {name: [str(part) for part in value] if isinstance(value, tuple) else
            str(value) if isinstance(value, Path) else value for name, value in options.items()
            if name not in ('resume', 'overwrite')}


@contextlib.contextmanager
def _noted(failed: dict[str, str], run: Run) -> Iterator[None]:
    """Note in a line by the run's name what ended its training, for others may go on."""
    shown = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        # TensorBoard's thread hands its error to who writes next, which ends the run
        if not (isinstance(args.exc_value, OSError) and args.thread is not None
                and type(args.thread).__module__.startswith('tensorboard.')):
            shown(args)
    threading.excepthook = hook
    try:
        yield
    except FloatingPointError as error:
        failed[run.config.name] = str(error)
    finally:
        threading.excepthook = shown


def _check_batches(run: Run, stage: str | None) -> None:
    """Raise BadParameter now, not after the stages before, where a batch cannot be shared."""
    for name, settings in run.config.stages.items():
        if stage in (None, name) and settings.batch % run.processes:
            raise click.BadParameter(
                f"the recipe's stages.{name}.batch is {settings.batch}, which {run.processes} "
                'processes cannot share: choose a multiple', param_hint="'--devices'")
