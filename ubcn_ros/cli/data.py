# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn data`: look at data before it is trained on."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.checked_data import open_kept
from ubcn_ros.cli.commands import Command, as_line
from ubcn_ros.cli.options import json_option, size_option
from ubcn_ros.cli.output import bar_updater, exit_stopped, progress_bar, save_json
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, InputType, OutputType
from ubcn_ros.text_table import counted


@click.group()
def data() -> None:
    """Check data before training on it, or write an example data set."""


@data.command('example', cls=Command)
@click.argument('folder', type=OUTPUT_FOLDER)
@click.option('--frames', default=240, show_default=True, type=click.IntRange(1),
              help='Images for training.')
@click.option('--val', default=40, show_default=True, type=click.IntRange(1),
              help='Images for validation.')
@size_option(default='480x360')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Seed of the first street; each further street has the next seed.')
def data_example(folder: Path, frames: int, val: int, size: tuple[int, int], seed: int) -> None:
    """
    Write an example data set of rendered streets to FOLDER.

    It has images, masks of eight classes and data.yaml, as a data set of your own would; training
    and validation show different streets. FOLDER must be missing or empty.
    """
    from ubcn_ros.data.example import make_example
    from ubcn_ros.stopping import Stopped
    width, height = size
    images = make_example(folder, frames, val, height, width, seed)
    try:
        with closing(images), progress_bar(total=frames + val) as bar:
            for _ in images:
                bar.update()
    except Stopped as stop:
        exit_stopped(stop, 'nothing', folder)
    click.echo(f'{counted(frames, "image")} for training and {val} for validation written to '
               f'{folder}; {folder / "data.yaml"} describes them')


@data.command('check', cls=Command)
@click.argument('paths', metavar='DATA...', nargs=-1, required=True,
                type=InputType(exists=True, path_type=Path))
@click.option('--sheet', type=OutputType(suffixes=('.html', '.htm')),
              help='Also write an HTML page with masks over images, class shares and rain.')
@json_option()
def data_check(paths: tuple[Path, ...], sheet: Path | None, json_path: Path | None) -> None:
    """
    Look for faults in data sets that are to be trained on together.

    DATA is a YAML file, or a folder in a known layout; the first one gives the classes. Files that
    are unchanged since an earlier check are not read again. The exit code is 1 if there are
    errors; warnings are for you to judge.
    """
    from ubcn_ros.data.check.check import check_data
    opened = open_kept(paths)
    with progress_bar() as bar:
        report = check_data(opened, bar_updater(bar))
    save_json(json_path, report.to_dict(), '\n'.join([
        _counts(report), *(as_line(str(found)) for found in report.findings), report.summary()]),
              (sheet, lambda path: _write_sheet(path, report)))
    if report.errors:
        sys.exit(1)


def _write_sheet(path: Path, report: Any) -> None:
    from ubcn_ros.data.check.sheet import write_sheet
    write_sheet(path, report)


def _counts(report: Any) -> str:
    """Tabulate images and shares of classes by split."""
    from ubcn_ros.text_table import listed, table
    rows = [[s.set_name, s.split, str(len(s.scenes)), str(s.labelled),
             listed([size for size, _ in s.sizes.most_common()], 2)]
            for s in report.splits]
    parts = [table(('data', 'split', 'images', 'labelled', 'size'), rows, left=(0, 1, 4))]
    for name, shares in report.shares.items():
        shares = {split: found for split, found in shares.items() if found}
        if shares:
            classes = next(iter(shares.values()))
            rows = [(c, *(found[c] for found in shares.values())) for c in classes]
            rows.append(('unlabeled', *(report.unlabeled[name][split] for split in shares)))
            parts.append(table((f'pixels of {name}, %', *shares), [
                [c, *(f'{100 * share:.2f}' for share in values)] for c, *values in rows]))
    return '\n\n'.join(parts) + '\n'
