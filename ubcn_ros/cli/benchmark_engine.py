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
from ubcn_ros.cli.output import progress_bar, save_json, saving
from ubcn_ros.cli.param_types import BASELINE, PRESET


@click.command(cls=Command)
@click.option('--preset', 'presets', multiple=True, type=PRESET, callback=once,
              help='Network with random weights; may be repeated  [default: light].')
@click.option('--model', help='Time this model (name or path) instead of random weights.')
@click.option('--path-threshold', type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help='path_threshold of SAM, for the presets paper and wide with random '
                   "weights. SAM's masks are then the labels of a rendered drive; the "
                   'segmentation network runs, but its result is not used.')
@size_option('sizes', multiple=True, default=('1024x512',),
             help='WIDTHxHEIGHT, pixels; may be repeated.')
@iterations_option(multiple=True, default=(1, 3), help='Steps of the loop; may be repeated.')
@precision_option('precisions', multiple=True, default=('auto',),
                  help='Precision to time; may be repeated.')
@backend_option('backends', multiple=True, default=('auto',),
                help='Backend to time; may be repeated.')
@device_option()
@processing_option('processing_sizes', multiple=True, default=(-1,),
                   help="Short side in pixels at which images are labelled: 0 is the image's "
                        "own, -1 the model's; may be repeated.")
@click.option('--frames', default=20, show_default=True, type=click.IntRange(1),
              help='Images timed per row, after 2 warm-up images.')
@threads_option()
@click.option('--baseline', type=BASELINE, help='Time this network in turn with UBCN.')
@click.option('--baseline-precision', type=click.Choice(['fp32', 'bf16', 'fp16']),
              help='Precision of the baseline  [default: fp32].')
@click.option('--cudnn-benchmark', is_flag=True,
              help='Let cuDNN time its algorithms. The engine never does: that choice cannot '
                   'be kept, and the next start may round differently.')
@click.option('--waterfall', is_flag=True,
              help='Time the engine without its optimisations, then add them one by one.')
@json_option(help='Also write the rows to this file.')
@picture_option(help='Draw the stages of every row to this file (PNG, PDF or SVG).')
def engine(presets: tuple[str, ...], model: str | None, path_threshold: float | None,
           sizes: tuple[tuple[int, int], ...], iterations: tuple[int, ...],
           precisions: tuple[str, ...], backends: tuple[str, ...], device: str,
           processing_sizes: tuple[int, ...], frames: int, threads: int | None,
           baseline: str | None, baseline_precision: str | None, cudnn_benchmark: bool,
           waterfall: bool, json_path: Path | None, picture: Path | None) -> None:
    """
    Time the engine by stage, size, steps and precision.

    The images come from a rendered drive. All rows of one size are timed in turn, image by image,
    so that their ratios hold on a busy machine. The column "times" says how many times faster a
    row is than the baseline, or than the first row of a waterfall: the median of the ratios.
    "peak MiB" is the most memory of one image: on a GPU all that PyTorch holds, on a CPU what
    comes on top of what the process held.
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
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.text_table import counted
    use_threads(threads)
    torch.backends.cudnn.benchmark = cudnn_benchmark
    wanted = Rows(presets or ('light',), model, iterations, precisions, backends, device, frames,
                  baseline, baseline_precision or 'fp32', waterfall, processing_sizes,
                  path_threshold)
    rows: list[dict[str, Any]] = []

    def save() -> None:
        images = ' or '.join(counted(count, 'image')
                             for count in sorted({row['frames'] for row in rows}))
        save_json(json_path, rows, f'{counted(torch.get_num_threads(), "CPU thread")}, {images} a '
                                   f'row, torch {torch.__version__}\n\n{report(rows)}',
                  (picture, lambda path: draw(path, rows)))

    with saving(rows, save), tempfile.TemporaryDirectory() as folder, \
            progress_bar(total=len(sizes) * frames) as bar:
        for size in sizes:
            measure(wanted, size, Path(folder), bar.update, rows)
