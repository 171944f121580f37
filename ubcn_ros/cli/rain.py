# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn rain`: rain rendered on images."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.image_jobs import pair_files, recursive_option, run_jobs
from ubcn_ros.cli.options import OUTPUT_FILE_OR_FOLDER, Number


@click.command(cls=Command)
@click.argument('source', metavar='INPUT', type=click.Path(exists=True, path_type=Path))
@click.argument('output', type=OUTPUT_FILE_OR_FOLDER)
@click.option('--rate', default=100.0, show_default=True, type=Number(0, 300),
              help='Rain rate, mm/hr.')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Of the first image; each further one has the next seed.')
@recursive_option
def rain(source: Path, output: Path, rate: float, seed: int, recursive: bool) -> None:
    """
    Render rain on an image or a folder of images.

    INPUT and OUTPUT are as in `derain`. The same seed gives the same rain.
    """
    from ubcn_ros.data.rain import add_rain
    from ubcn_ros.images.files import write_image
    jobs, listing = pair_files(source, output, recursive)
    seeds = {target: seed + number for number, (_, target) in enumerate(jobs)}
    run_jobs(jobs, listing,
             lambda image, target: write_image(target, add_rain(image, rate, seeds[target])))
