# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study degradations`: the paper's figure 1."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.checked_data import checked_fingerprints, open_kept
from ubcn_ros.cli.commands import Command, typed_command
from ubcn_ros.cli.options import limit_option, once, stride_option
from ubcn_ros.cli.output import say
from ubcn_ros.cli.param_types import OUTPUT_FOLDER
from ubcn_ros.cli.training import (
    RecipeType,
    StepsType,
    check_devices,
    launch,
    training_data_option,
    training_options,
)
from ubcn_ros.study.paper import FIGURE_1_LEVELS

_KINDS = tuple(FIGURE_1_LEVELS)


@click.command(cls=Command)
@click.option('--recipe', type=RecipeType(), default='degradations', show_default=True,
              help='Recipe of the segmentation network, with no stage but adapt.')
@training_data_option
@click.option('--segmentation', metavar='NAME',
              help="Segmentation network instead of the recipe's: ddrnet23_slim, "
                   "pspnet_resnet50, or your own as module:Class. PSPNet is the paper's, but "
                   "starts without ImageNet weights here and ends far below the paper's "
                   'figure.')
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-degradations', show_default=True,
              help='Output folder; results of an earlier run in it are kept, and other kinds, '
                   'seeds and data sets are added.')
@click.option('--kind', 'kinds', multiple=True, type=click.Choice(_KINDS), default=_KINDS,
              callback=once, help='Kind of degradation; may be repeated  [default: all].')
@click.option('--seed', 'seeds', multiple=True, type=click.IntRange(0, 1 << 30), default=(1,),
              callback=once, show_default=True, help='Seed of weights and samples; may be '
                                                     'repeated.')
@click.option('--steps', type=StepsType(), metavar='N',
              help="Optimizer steps of each training instead of the recipe's; with a % at the "
                   "end, this share of the recipe's.")
@stride_option()
@limit_option()
@training_options
def degradations(recipe: Path, data: tuple[Path, ...], segmentation: str | None, out: Path,
                 kinds: tuple[str, ...], seeds: tuple[int, ...], steps: int | float | None,
                 stride: int, limit: int | None, accelerator: str, precision: str, workers: int,
                 threads: int | None) -> None:
    """
    Train and test at four levels of rain, pepper, haze and noise, as in Figure 1 of the paper.

    A segmentation network is trained from scratch at each level of each kind (clean images are the
    first level of every kind) and tested at all levels on the split val: 13 trainings per seed.
    Then the figure's four claims are checked. After an interruption the same command continues;
    all figures are in OUT/degradations.json, with pictures of them beside it.
    """
    check_devices(accelerator)
    from dataclasses import replace

    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.study.degradation_figures import curves, heat_maps
    from ubcn_ros.study.degradations import DegradationStudy, tables_of
    from ubcn_ros.study.print_grid import save_figure
    from ubcn_ros.training.config import TrainConfig, with_length
    from ubcn_ros.training.single_run import single_run
    use_threads(threads)
    config = TrainConfig.load(recipe)
    config = with_length(config, steps) if steps else config
    if segmentation is not None:
        overrides = {**config.model.overrides, 'segmentation': segmentation}
        config = replace(config, model=replace(config.model, overrides=overrides))
    images = open_kept(data)
    with single_run(out):
        study = DegradationStudy(
            config=config, data=images, fabric=launch(accelerator, precision),
            out=out, kinds=kinds, seeds=seeds, stride=stride, limit=limit, workers=workers,
            command=typed_command(), fingerprints=checked_fingerprints(images, data),
            say=say)
        study.train()
        tables = tables_of(study.found['miou'])
        title = f'{study.segmentation} on {study.name}'
        pictures = [path for name, draw in (('heat-maps', heat_maps), ('curves', curves))
                    for path in save_figure(draw(tables, title), out, f'{name}-{study.name}')]
    click.echo(f'\n{study.text_of({**study.results, "data": {study.name: study.found}})}\n')
    for path in (*pictures, study.path):
        click.echo(f'wrote {path}')
