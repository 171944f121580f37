# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark engine`: times of the engine, stage by stage, as a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    BASELINE,
    PRESET,
    backend_option,
    device_option,
    iterations_option,
    json_option,
    once,
    picture_option,
    precision_option,
    processing_option,
    size_option,
    threads_option,
)
from ubcn_ros.cli.output import progress_bar, save_json


@click.command(cls=Command)
@click.option('--preset', 'presets', multiple=True, type=PRESET, callback=once,
              help='Network with random weights; may be repeated  [default: light].')
@click.option('--model', help='Time this model (name or path) instead of random weights.')
@click.option('--path-threshold', type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="SAM's, with random weights of the presets paper and wide. Its masks are then "
              'the labels of a rendered drive: the segmentation network works, but is not asked.')
@size_option('sizes', multiple=True, default=('1024x512',),
             help='WIDTHxHEIGHT, pixels; may be repeated.')
@iterations_option(multiple=True, default=(1, 3), help='Steps of the loop; may be repeated.')
@precision_option('precisions', multiple=True, default=('auto',), help='May be repeated.')
@backend_option('backends', multiple=True, default=('auto',), help='May be repeated.')
@device_option()
@processing_option('processing_sizes', multiple=True, default=(-1,),
                   help='Short side, pixels, at which images are labelled: 0 for their own, -1 '
                   'for what the model was trained for; may be repeated.')
@click.option('--frames', default=20, show_default=True, type=click.IntRange(1),
              help='Images per row, after 2 that do not count.')
@threads_option()
@click.option('--baseline', type=BASELINE, help='Time this network in turn with ours.')
@click.option('--baseline-precision', type=click.Choice(['fp32', 'bf16', 'fp16']),
              help='Precision that it computes in  [default: fp32].')
@click.option('--cudnn-benchmark', is_flag=True,
              help='Let cuDNN time its algorithms, which the engine does not: the choice cannot '
              'be kept, and the next start may round otherwise.')
@click.option('--waterfall', is_flag=True,
              help='Time the engine without its optimisations, adding one after the other.')
@json_option(help='Write the rows to this file, too.')
@picture_option(help='Draw the stages of every row here (PNG, PDF or SVG).')
def engine(presets: tuple[str, ...], model: str | None, path_threshold: float | None,
           sizes: tuple[tuple[int, int], ...], iterations: tuple[int, ...],
           precisions: tuple[str, ...], backends: tuple[str, ...], device: str,
           processing_sizes: tuple[int, ...], frames: int, threads: int | None,
           baseline: str | None, baseline_precision: str | None, cudnn_benchmark: bool,
           waterfall: bool, json_path: Path | None, picture: Path | None) -> None:
    """
    Time the engine by stage, size, steps and precision.

    The images are of a rendered drive. All rows of one size are timed in turn, image by image, so
    that their ratios hold on a busy machine. "times" is how many times faster than the baseline,
    or than the first row of a waterfall: the median of the turns' ratios.
    """
    import torch

    from ubcn_ros.benchmark.engine import Rows, measure
    from ubcn_ros.benchmark.engine_report import draw, report
    for option, given in (('--preset', presets), ('--path-threshold', path_threshold)):
        if model is not None and given:
            raise click.UsageError(f'{option} is for random weights, a --model has its own: give '
                                   'one of both')
    if baseline_precision and not baseline:
        raise click.UsageError(f'--baseline-precision {baseline_precision} is of a --baseline: '
                               'give one, or leave it out')
    if waterfall and (len(precisions) > 1 or backends != ('auto',)):
        raise click.UsageError('a --waterfall ends with one --precision and goes through the '
                               'backends by itself: give one, and leave out --backend')
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = cudnn_benchmark
    wanted = Rows(presets or ('light',), model, iterations, precisions, backends, device, frames,
                  baseline, baseline_precision or 'fp32', waterfall, processing_sizes,
                  path_threshold)
    rows: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory() as folder, \
                progress_bar(total=len(sizes) * frames) as bar:
            for size in sizes:
                rows += measure(wanted, size, Path(folder), bar.update)
    finally:  # what was measured is kept, whatever came of the next size
        if rows:
            click.echo(f'{torch.get_num_threads()} CPU threads, {frames} images a row, torch '
                       f'{torch.__version__}\n\n{report(rows)}')
            save_json(json_path, rows)
    if picture:
        draw(picture, rows)
        click.echo(f'wrote {picture}')
