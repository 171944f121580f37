# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag compare`: two processed bags, or one and the drive without rain, frame by frame."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import json_option
from ubcn_ros.cli.output import bar_updater, progress_bar, save_json, say_errors, warn
from ubcn_ros.cli.param_types import CSV, JSON_OR_DASH, InputType
from ubcn_ros.text_table import fixed, table

if TYPE_CHECKING:
    from ubcn_ros.report.compare import BagComparison, CameraComparison

_BEFORE_S = 0.25  # of the worst frame, from where it is played


@click.command(cls=Command)
@click.argument('bag', metavar='A', type=InputType(path_type=Path))
@click.argument('other', metavar='[B]', required=False, type=InputType(path_type=Path))
@click.option('--truth', type=InputType(path_type=Path),
              help='Bag of the same drive without rain; if it has been processed, labels are '
                   'compared, too.')
@click.option('--input', 'input_bag', type=InputType(path_type=Path),
              help='Bag with the input images, if A holds only outputs.')
@click.option('--topic', 'topics', multiple=True,
              help='Image topic of a camera to compare; may be repeated  [default: all cameras].')
@click.option('--worst', 'count', default=5, show_default=True, type=click.IntRange(0, 1000),
              help='Show this many of the worst frames.')
@click.option('--csv', 'csv_path', type=CSV, help='Write one line per frame to this file.')
@json_option(type=JSON_OR_DASH,
             help='Write everything to this file, with null for infinite figures (PSNR of equal '
                  'images, and gains from or to it); - writes to standard output instead of the '
                  'tables.')
def bag_compare(bag: Path, other: Path | None, truth: Path | None, input_bag: Path | None,
                topics: tuple[str, ...], count: int, csv_path: Path | None,
                json_path: Path | None) -> None:
    """
    Compare two processed bags of the same drive, frame by frame.

    A and B are bags written by `ubcn bag process`, or recordings of the node, for example with two
    models or two numbers of steps. Frames with equal stamps are compared: PSNR of the derained
    images, agreement of the labels (pixels, mIoU of B against A), and latency where it was
    recorded. With --truth, PSNR of each against the drive without rain is added, and B may be left
    out. Cameras are matched by the names of their topics, else by stamps that no other camera has.
    The exit code is 1 if part of a bag cannot be read, if a bag was not processed to its end, or
    if a camera has no frame with all outputs.
    """
    if other is None and truth is None:
        raise click.UsageError('give a second bag to compare with, or --truth')
    from ubcn_ros.report.compare import compare, write_csv
    from ubcn_ros.report.tracks import BagPaths
    with progress_bar(unit='frames') as bar:
        found = compare(BagPaths(bag, other, input_bag, truth, topics), bar_updater(bar))
    text = '\n\n'.join(_camera_text(camera) for camera in found.cameras)
    save_json(json_path, {'a': str(bag), 'b': other and str(other),
                          'truth': truth and str(truth), **found.as_dict()},
              f'{text}\n{_end_text(found, bag, count)}',
              (csv_path, lambda path: write_csv(path, found.frames)))
    for line in found.said:
        warn(line)
    wrong = [*found.lacking, *(f'{line}; left out' for camera in found.cameras
                               for line in camera.malformed)]
    say_errors(wrong)
    if wrong:
        sys.exit(1)


def _camera_text(camera: CameraComparison) -> str:
    from ubcn_ros.report.compare import FIGURES
    alone = ''.join(f', {number} {what}' for number, what in (
        (camera.only_a, 'of A alone'), (camera.only_b, 'of B alone'),
        (camera.incomplete, 'without all outputs')) if number)
    parts = [f'{camera.camera}: {len(camera.frames)} frames{alone}', table(
        ('figure', 'unit', 'frames', 'equal', 'mean', 'mean of', 'worst', 'stamp of the worst'),
        [(FIGURES[name].title, FIGURES[name].unit, str(values['frames']),
          str(values['equal'] or '-'), fixed(values['mean']), str(values['mean_of']),
          fixed(values['worst']), values['worst_stamp'])
         for name, values in camera.summary().items()], left=(0, 1))]
    if camera.miou is not None:
        parts.append(f'mIoU of B against A over all frames: {camera.miou:.2f} %: ' + ', '.join(
            f'{name} {iou:.1f}' for name, iou in camera.iou.items()))
    return '\n'.join(parts)


def _end_text(found: BagComparison, bag: Path, count: int) -> str:
    from ubcn_ros.report.bag import play_command
    from ubcn_ros.report.compare import FIGURES, worst_first
    parts = ['', *(f'engine of {name.upper()}: {time:.1f} ms per frame, mean, by process.json'
                   for name, time in found.engine_ms.items())]
    names = [name for name in FIGURES if any(name in row.values for row in found.frames)]
    rows = worst_first(found.frames, names[0])[:count] if names else []
    if rows:
        several = len(found.cameras) > 1
        parts += [f'Worst by {FIGURES[names[0]].title}:', table(
            ('stamp', *(['camera'] if several else []), *(FIGURES[name].title for name in names)),
            [(row.text, *([row.camera] if several else []),
              *(fixed(row.values.get(name)) for name in names))
             for row in rows], left=(0, 1) if several else (0,)),
            'Play the worst: ' + play_command(bag, max(0.0, rows[0].seconds - _BEFORE_S))]
    return '\n'.join(parts)
