# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study real-rain`: photographs in rain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command, refuse_options
from ubcn_ros.cli.options import limit_option, stride_option
from ubcn_ros.cli.output import progress_bar
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, InputType
from ubcn_ros.cli.study_pictures import (
    STUDY,
    baselines_options,
    begin_results,
    load_theirs,
    picture_options,
    write_figure,
)


@click.command('real-rain', cls=Command)
@click.argument('sources', metavar='PHOTOGRAPH...', nargs=-1, required=True,
                type=InputType(exists=True, path_type=Path))
@stride_option(help='Take every n-th image of a folder.')
@limit_option(default=4, show_default=True, help='Take at most this many images of a folder.')
@baselines_options
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-real-rain', show_default=True,
              help='Output folder.')
@picture_options('WIDTHxHEIGHT that larger photographs are shrunk into, keeping their aspect.')
def real_rain(sources: tuple[Path, ...], stride: int, limit: int, folder: Path | None,
              budget: str, out: Path, model: str, device: str, precision: str,
              processing_size: int, **view: Any) -> None:
    """
    Draw what every baseline and UBCN make of photographs in real rain.

    PHOTOGRAPH is an image file, or a folder of them. There is no ground truth, so nothing is
    measured. The segmentation network of --model labels what each method has derained. OUT gets
    real-rain.png and real-rain.pdf for print, and real-rain.json with what is shown.
    """
    if not any(source.is_dir() for source in sources):
        refuse_options(('stride', 'limit'), 'no folder is given')
    from ubcn_ros.evaluation.measure import LoadedModel
    from ubcn_ros.study.real_rain import find_photographs, show_real_rain
    from ubcn_ros.study.shown_image import FigureView
    from ubcn_ros.training.single_run import single_run
    results = begin_results()
    paths = find_photographs(sources, stride, limit)
    ours = LoadedModel.load(model, device, precision, processing_size=processing_size)
    theirs, left_out = load_theirs(folder, budget, ours)
    with single_run(out):
        with progress_bar(total=len(paths)) as bar:
            grid, found = show_real_rain(ours, theirs, paths, FigureView(**view), bar.update)
        results.update(**left_out, **found)
        write_figure(out, 'real-rain', grid,
                     {'baselines': str(folder or STUDY), 'budget': budget, **view},
                     {'UBCN': ours, **theirs}, results)
