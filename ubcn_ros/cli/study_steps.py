# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study steps`: the steps of the loop, and where each is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import rain_option
from ubcn_ros.cli.output import progress_bar
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, Number
from ubcn_ros.cli.study_pictures import (
    begin_results,
    picture_options,
    scene_options,
    shown_scenes,
    write_figure,
)


@click.command(cls=Command)
@scene_options(1)
@click.option('--rate', type=Number(0, 300), default=250.0, show_default=True,
              help='Rain rate in mm/hr.')
@rain_option()
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-steps', show_default=True,
              help='Output folder.')
@picture_options('WIDTHxHEIGHT to resize images to, before rain falls.')
def steps(data: Path, split: str | None, names: tuple[str, ...], stride: int | None, limit: int,
          rate: float, out: Path, model: str, device: str, precision: str, processing_size: int,
          **view: Any) -> None:
    """
    Draw the input, the ground truth and every step of the loop.

    Each image has four columns: the derained image, its segmentation, the absolute error against
    the image without rain (on one colour scale for all), and the wrongly labelled pixels. The
    figures below them are of that image, measured as in `ubcn evaluate`. OUT gets steps.png and
    steps.pdf for print, and steps.json with what is shown.
    """
    from ubcn_ros.evaluation.measure import LoadedModel
    from ubcn_ros.study.shown_image import FigureView
    from ubcn_ros.study.steps import show_steps, steps_statements
    from ubcn_ros.training.single_run import single_run
    results = begin_results()
    ours = LoadedModel.load(model, device, precision, processing_size=processing_size)
    scenes, indices = shown_scenes(ours, data, split, names, stride, limit)
    with single_run(out):
        with progress_bar(total=len(indices)) as bar:
            grid, found = show_steps(ours, scenes, indices, rate, FigureView(**view), bar.update)
        results.update(found)
        write_figure(out, 'steps', grid, {'data': scenes.name, 'rate': rate, **view},
                     {'UBCN': ours}, results, steps_statements)
