# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study methods`: every baseline and UBCN side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import rain_option, rates_option
from ubcn_ros.cli.output import progress_bar
from ubcn_ros.cli.param_types import OUTPUT_FOLDER
from ubcn_ros.cli.study_pictures import (
    STUDY,
    baselines_options,
    begin_results,
    load_theirs,
    picture_options,
    scene_options,
    shown_scenes,
    write_figure,
)


@click.command(cls=Command)
@scene_options(2)
@rates_option(default='50,250')
@rain_option()
@baselines_options
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-methods', show_default=True,
              help='Output folder.')
@picture_options('WIDTHxHEIGHT to resize images to, before rain falls.')
def methods(data: Path, split: str | None, names: tuple[str, ...], stride: int | None, limit: int,
            rates: tuple[float, ...], folder: Path | None, budget: str, out: Path, model: str,
            device: str, precision: str, processing_size: int, **view: Any) -> None:
    """
    Draw every baseline and UBCN side by side, in light and in heavy rain.

    The PSNR of each image and the mIoU of each mask stand below it; the best are bold. The
    segmentation network of --model labels what each method has derained. The rain on an image
    depends only on its place in the data set, as in `ubcn evaluate`, so the figures agree. OUT
    gets methods.png and methods.pdf for print, and methods.json with everything that is shown.
    """
    from ubcn_ros.evaluation.measure import LoadedModel
    from ubcn_ros.study.methods import compare_methods, methods_statements
    from ubcn_ros.study.shown_image import FigureView
    from ubcn_ros.training.single_run import single_run
    results = begin_results()
    ours = LoadedModel.load(model, device, precision, processing_size=processing_size)
    scenes, indices = shown_scenes(ours, data, split, names, stride, limit)
    theirs, left_out = load_theirs(folder, budget, ours)
    with single_run(out):
        with progress_bar(total=len(indices) * len(rates)) as bar:
            grid, found = compare_methods(ours, theirs, scenes, indices, rates, FigureView(**view),
                                          bar.update)
        results.update(**left_out, **found)
        write_figure(out, 'methods', grid,
                     {'data': scenes.name, 'rates': rates, 'baselines': str(folder or STUDY),
                      'budget': budget, **view},
                     {'UBCN': ours, **theirs}, results, methods_statements)
