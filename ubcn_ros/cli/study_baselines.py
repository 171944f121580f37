# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study baselines`: the paper's table 4."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ubcn_ros.cli.checked_data import checked_fingerprints
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    BASELINE,
    OUTPUT_FOLDER,
    PRECISION,
    PRESET,
    iterations_option,
    limit_option,
    model_option,
    once,
    rates_option,
    size_option,
    stride_option,
)
from ubcn_ros.cli.training import (
    RecipeType,
    StepsType,
    check_devices,
    launch,
    training_data_option,
    training_options,
)


@click.command(cls=Command)
@click.option('--recipe', type=RecipeType(), default='baselines', show_default=True,
              help='Recipe of IDM, whose variants are the baselines.')
@training_data_option
@model_option(help='Model whose segmentation network labels what all of them derain.')
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-baselines', show_default=True,
              help='Output folder; what an earlier run left there is not done again.')
@click.option('--baseline', 'names', multiple=True, type=BASELINE,
              default=tuple(BASELINE.choices), callback=once,
              help='May be repeated, or added later  [default: all].')
@click.option('--budget', 'budgets', multiple=True, type=click.Choice(['samples', 'time']),
              default=('samples', 'time'), callback=once,
              help='As many samples as IDM, or as much time; may be repeated  [default: both].')
@click.option('--steps', type=StepsType(), metavar='N',
              help="Optimizer steps of IDM instead of the recipe's, or with a % at the end this "
              'share of them.')
@rates_option(default='50,150,250')
@iterations_option(help='Steps of UBCN.')
@stride_option()
@limit_option()
@size_option(default='2048x1024', help='WIDTHxHEIGHT of the image that is timed.')
@click.option('--frames', default=3, show_default=True, type=click.IntRange(0, 1000),
              help='Images that are timed, after 2 that do not count; 0 for no times.')
@click.option('--preset', 'presets', multiple=True, default=('light', 'paper'), show_default=True,
              type=PRESET, callback=once,
              help='UBCN to time beside the baselines; may be repeated.')
@click.option('--time-precision', default='fp32', show_default=True, type=PRECISION,
              help='Of everything that is timed.')
@training_options
def baselines(recipe: Path, data: tuple[Path, ...], model: str, out: Path,
              names: tuple[str, ...], budgets: tuple[str, ...], steps: int | float | None,
              rates: tuple[float, ...], iterations: int, stride: int, limit: int | None,
              size: tuple[int, int], frames: int, presets: tuple[str, ...], time_precision: str,
              accelerator: str, precision: str, workers: int, threads: int | None) -> None:
    """
    Compare UBCN with derain-only networks, as the paper's table 4 does.

    IDM, every baseline and UBCN, which shares its budget between IDM and SAM, are trained from
    scratch on the same samples by one recipe, and measured in rain with the model's segmentation
    network after them. The model itself is measured as it is, with the training that it had. Times
    are of random weights, on the CPU and, where there is one, the GPU. What beats UBCN, and by how
    much, is said below the table. Stopped at any moment, the same command goes on; all figures are
    in OUT/baselines.json.
    """
    check_devices(accelerator, 1)
    import torch

    from ubcn_ros.data.mixture import open_data
    from ubcn_ros.runtime.weights import load_model
    from ubcn_ros.study.baselines import BaselineStudy, with_steps
    from ubcn_ros.study.baselines_table import baselines_text
    from ubcn_ros.training.config import TrainConfig
    from ubcn_ros.training.record import typed_command
    from ubcn_ros.training.run import Run
    from ubcn_ros.training.single_run import single_run
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True  # every step has the same shapes
    config = TrainConfig.load(recipe)
    label_set = load_model(model, ('segmentation',))[1].config.label_set
    images = open_data(data, label_set)
    if steps and 'derain' in config.stages:  # what UBCN's SAM takes follows
        config = with_steps(Run(config, images, out).config, steps)
    with single_run(out):
        study = BaselineStudy(config, images,
                              launch(False, accelerator, 1, 1, precision), model, out, names,
                              budgets, rates, iterations, stride, limit, workers,
                              typed_command(sys.argv[1:]), checked_fingerprints(images, data),
                              click.echo)
        study.train()
        study.time(presets, size, time_precision, frames)
    click.echo(f'\n{baselines_text(study.results)}\n\nwrote {study.path}')
