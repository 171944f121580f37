# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn data`: look at data before it is trained on."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import OUTPUT_FOLDER, size_option
from ubcn_ros.cli.output import progress_bar


@click.group()
def data() -> None:
    """Make an example of own data."""


@data.command('example', cls=Command)
@click.argument('folder', type=OUTPUT_FOLDER)
@click.option('--frames', default=240, show_default=True, type=click.IntRange(1),
              help='Images for training.')
@click.option('--val', default=40, show_default=True, type=click.IntRange(1),
              help='Images for validation.')
@size_option(default='480x360')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Of the first street; each further one has the next seed.')
def data_example(folder: Path, frames: int, val: int, size: tuple[int, int], seed: int) -> None:
    """
    Write a data set of rendered streets to FOLDER, as one's own would be.

    That is images, masks of eight classes and data.yaml; training and validation show different
    streets. FOLDER must be missing or empty.
    """
    from ubcn_ros.data.example import make_example
    width, height = size
    with progress_bar(total=frames + val) as bar:
        for _ in make_example(folder, frames, val, height, width, seed):
            bar.update()
    click.echo(f'{frames} images for training and {val} for validation written to {folder}; '
               f'{folder / "data.yaml"} describes them')
