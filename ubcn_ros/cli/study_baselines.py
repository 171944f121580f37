# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study baselines`: the paper's table 4."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.checked_data import checked_fingerprints, open_kept
from ubcn_ros.cli.commands import Command, refuse_options, typed_command
from ubcn_ros.cli.options import (
    iterations_option,
    limit_option,
    model_option,
    once,
    rates_option,
    size_option,
    stride_option,
)
from ubcn_ros.cli.output import say
from ubcn_ros.cli.param_types import BASELINE, OUTPUT_FOLDER, PRECISION, PRESET
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
              help='Recipe that trains IDM; its variants are the baselines.')
@training_data_option
@model_option(help='Model whose segmentation network labels the derained images of all methods.')
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-baselines', show_default=True,
              help='Output folder; results of an earlier run in it are kept, not computed again.')
@click.option('--baseline', 'names', multiple=True, type=BASELINE,
              default=tuple(BASELINE.choices), callback=once,
              help='Baseline to train; may be repeated, and more can be added later  '
                   '[default: all].')
@click.option('--budget', 'budgets', multiple=True, type=click.Choice(['samples', 'time']),
              default=('samples', 'time'), callback=once,
              help='Train on as many samples as IDM, or for as long; may be repeated  '
                   '[default: both].')
@click.option('--steps', type=StepsType(), metavar='N',
              help="Optimizer steps of IDM instead of the recipe's; with a % at the end, this "
                   "share of the recipe's.")
@rates_option(default='50,150,250')
@iterations_option(help='T, steps of UBCN.')
@stride_option()
@limit_option()
@size_option(default='2048x1024', help='WIDTHxHEIGHT of the image that is timed.')
@click.option('--frames', default=3, show_default=True, type=click.IntRange(0, 1000),
              help='Images to time, after 2 warm-up images; 0 skips timing.')
@click.option('--preset', 'presets', multiple=True, default=('light', 'paper'), show_default=True,
              type=PRESET, callback=once,
              help='Preset of UBCN to time beside the baselines; may be repeated.')
@click.option('--time-precision', default='fp32', show_default=True, type=PRECISION,
              help='Precision of everything that is timed.')
@training_options
def baselines(recipe: Path, data: tuple[Path, ...], model: str, out: Path,
              names: tuple[str, ...], budgets: tuple[str, ...], steps: int | float | None,
              rates: tuple[float, ...], iterations: int, stride: int, limit: int | None,
              size: tuple[int, int], frames: int, presets: tuple[str, ...], time_precision: str,
              accelerator: str, precision: str, workers: int, threads: int | None) -> None:
    """
    Compare UBCN with derain-only networks, as in Table 4 of the paper.

    IDM, every baseline and UBCN, which splits its budget between IDM and SAM, are trained from
    scratch on the same samples by one recipe. Rainy images derained by each are measured, with the
    labels that the segmentation network of --model gives them. That model itself is measured as it
    is, with all the training it had. Times are of random weights, on the CPU and, if there is one,
    the GPU. Below the tables stands what beats UBCN, and by how much. After an interruption the
    same command continues; all figures are in OUT/baselines.json.
    """
    if not frames:
        refuse_options(('size', 'presets', 'time_precision'), '--frames 0 times nothing')
    check_devices(accelerator)
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.runtime.weights import load_model
    from ubcn_ros.study.baselines import BaselineStudy, with_steps
    from ubcn_ros.training.config import TrainConfig
    from ubcn_ros.training.run import Run
    from ubcn_ros.training.single_run import single_run
    use_threads(threads)
    config = TrainConfig.load(recipe)
    label_set = load_model(model, ('segmentation',))[1].config.label_set
    images = open_kept(data, label_set, model)
    if steps and 'derain' in config.stages:  # what UBCN's SAM takes follows
        config = with_steps(Run(config, images, out).config, steps)
    with single_run(out):
        study = BaselineStudy(
            config=config, data=images, fabric=launch(accelerator, precision),
            model=model, out=out, baselines=names, budgets=budgets, rates=rates,
            iterations=iterations, stride=stride, limit=limit, workers=workers,
            command=typed_command(), fingerprints=checked_fingerprints(images, data),
            say=say)
        study.train()
        study.time(presets, size, time_precision, frames)
    click.echo(f'\n{study.text_of(study.results)}\n\nwrote {study.path}')
