# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study networks`: whole models side by side."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.checked_data import check_readable, open_kept
from ubcn_ros.cli.commands import Command, refuse_options, typed_command
from ubcn_ros.cli.options import (
    data_option,
    device_option,
    iterations_option,
    limit_option,
    model_option,
    precision_option,
    rain_option,
    rain_workers_option,
    rates_option,
    size_option,
    stride_option,
    threads_option,
)
from ubcn_ros.cli.output import bar_updater, progress_bar, say
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, PRECISION
from ubcn_ros.runtime.installed import DEFAULT_MODEL


@click.command(cls=Command)
@model_option('models', multiple=True, default=(DEFAULT_MODEL,),
              help='Name of a model in models/, or path of a .safetensors file; may be repeated.')
@data_option()
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-networks', show_default=True,
              help='Output folder; results of an earlier run in it are kept, not computed again.')
@rates_option()
@rain_option()
@iterations_option(help='T, steps of the loop: all of them are measured.')
@stride_option()
@limit_option()
@device_option(help='Device for measuring quality: auto, cpu, cuda or cuda:N.')
@precision_option(default='fp32', help='Precision for measuring quality.')
@size_option(default='2048x1024', help='WIDTHxHEIGHT of the image that is timed.')
@click.option('--frames', default=3, show_default=True, type=click.IntRange(0, 1000),
              help='Images to time, after 2 warm-up images; 0 skips timing.')
@click.option('--time-precision', default='fp32', show_default=True, type=PRECISION,
              help='Precision of everything that is timed.')
@rain_workers_option()
@threads_option()
def networks(models: tuple[str, ...], data: Path, out: Path, rates: tuple[float, ...],
             rain: str, iterations: int, stride: int, limit: int | None, device: str,
             precision: str, size: tuple[int, int], frames: int, time_precision: str,
             workers: int, threads: int | None) -> None:
    """
    Compare whole models: quality by rain rate and step, size, and time.

    For example the paper's network with PSPNet, the same with a lighter segmentation network, and
    the light preset; each model labels with its own network. Times are measured on the CPU and, if
    there is one, the GPU, with images labelled at their own size. Models may be added later;
    existing results are kept. All figures are in OUT/networks.json.
    """
    if not frames:
        refuse_options(('size', 'time_precision'), '--frames 0 times nothing')
    from ubcn_ros.data.check.check import check_data
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.runtime.weights import load_model
    from ubcn_ros.study.networks import NetworkStudy
    from ubcn_ros.training.single_run import single_run
    use_threads(threads)
    images = open_kept([data], load_model(models[0])[1].config.label_set, models[0])
    with single_run(out):
        with progress_bar() as bar:
            fingerprints = check_data(images, bar_updater(bar)).fingerprints
        study = NetworkStudy(
            models=models, data=images, out=out, rates=rates, iterations=iterations,
            stride=stride, limit=limit, device=device, precision=precision, rain=rain,
            workers=workers, command=typed_command(), fingerprints=fingerprints,
            say=say)
        check_readable([study.scenes.scenes[index] for index in study.indices])
        with progress_bar() as bar:
            study.measure(bar.update)
        study.time(size, time_precision, frames)
    click.echo(f'\n{study.text_of(study.results)}\n\nwrote {study.path}')
