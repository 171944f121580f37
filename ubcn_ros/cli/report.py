# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn report`: a processed bag, a pair of them, or an evaluation as one HTML file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command, typed_options
from ubcn_ros.cli.options import (
    OUTPUT_FOLDER,
    PAGE,
    device_option,
    iterations_option,
    load_engine,
    model_option,
    precision_option,
    processing_option,
)
from ubcn_ros.cli.output import bar_updater, progress_bar, say_errors

if TYPE_CHECKING:
    from ubcn_ros.report.page import Report
    from ubcn_ros.report.steps import Steps

_OF_THE_STEPS = ('iterations', 'precision', 'processing_size')


@click.command(cls=Command)
@click.argument('source', metavar='SOURCE', type=click.Path(path_type=Path))
@click.argument('other', metavar='[OTHER]', required=False, type=click.Path(path_type=Path))
@click.option('--out', default=Path('report.html'), show_default=True, type=PAGE,
              help='HTML file to write.')
@click.option('--input', 'input_bag', type=click.Path(path_type=Path),
              help='Bag with the input images, if SOURCE holds only outputs.')
@click.option('--truth', type=click.Path(path_type=Path),
              help='Bag of the same drive without rain; if it has been processed, labels are '
                   'compared, too.')
@click.option('--topic', 'topics', multiple=True,
              help='Image topic of a camera to show; may be repeated  [default: all cameras].')
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(1, 10_000),
              help='Show at most this many frames, spread evenly.')
@click.option('--full-size', type=OUTPUT_FOLDER,
              help='Write the pictures at full size to this folder, for the page to zoom into.')
@model_option(default=None, show_default=False,
              help='Compute the steps of the worst frames again with this model (name or path).')
@click.option('--step-frames', default=6, show_default=True, type=click.IntRange(1, 100),
              help='Number of frames for --model.')
@iterations_option()
@device_option()
@precision_option()
@processing_option()
def report(source: Path, other: Path | None, out: Path, input_bag: Path | None,
           truth: Path | None, topics: tuple[str, ...], frames: int, full_size: Path | None,
           model: str | None, step_frames: int, iterations: int, device: str, precision: str,
           processing_size: int) -> None:
    """
    Show a processed bag, a pair of bags, or an evaluation as one HTML file.

    SOURCE is a bag written by `ubcn bag process`, or a recording of the node's outputs; with
    OTHER, a second one of the same drive, the two are compared as A and B. Or SOURCE is the JSON
    file of `ubcn evaluate`. The page opens offline in any browser and loads nothing from
    elsewhere; a thousand frames stay below 25 MB. It also says what was not measured. The exit
    code is 1 if part of a bag cannot be read, or if a bag was not processed to its end.

    The steps of --model are computed with the options that SOURCE was processed with, where it
    says them: --iterations, --precision (on a device of the same kind) and --processing-size count
    if they are given.
    """
    from ubcn_ros.report.page import write

    def steps(iterations: int, **options: Any) -> Steps | None:
        from ubcn_ros.report.steps import Steps
        return None if model is None else Steps(
            load_engine(model=model, device=device, **options), iterations)

    with progress_bar(unit='frames') as bar:
        if source.suffix.lower() == '.json' and not source.is_dir():
            if other or input_bag or truth or full_size or topics:
                raise click.UsageError(f'{source} is an evaluation: OTHER, --input, --truth, '
                                       '--topic and --full-size are of bags')
            if given := [option for name, option in typed_options().items()
                         if name in _OF_THE_STEPS]:
                raise click.UsageError(f'{source} is an evaluation, whose steps are run again as '
                                       f'they were measured: leave out {", ".join(given)}')
            made = _evaluation(source, steps, step_frames, bar_updater(bar))
        else:
            from ubcn_ros.report.bag import BagPaths, BagReportOptions, bag_report
            again = None if model is None else steps(**_as_processed(source, device, {
                'iterations': iterations, 'precision': precision,
                'processing_size': processing_size}))
            made = bag_report(BagPaths(source, other, input_bag, truth, topics),
                              BagReportOptions(out, frames, full_size, step_frames), again,
                              bar_updater(bar))
    write(out, made)
    frames = f'{len(made.frames)} frames, ' if made.frames else ''
    click.echo(f'wrote {out}: {frames}{out.stat().st_size / 1e6:.1f} MB')
    say_errors(made.errors)
    if made.errors:
        sys.exit(1)


def _as_processed(bag: Path, device: str, options: dict[str, Any]) -> dict[str, Any]:
    """Replace options that were not typed by those that a bag was processed with."""
    from ubcn_ros.report.recording import processed_with
    from ubcn_ros.runtime.device import resolve_device
    said = processed_with(bag)
    if said.pop('device') != resolve_device(device).type:
        said.pop('precision', None)  # may take another device a minute for a frame
    typed = typed_options()
    return {**options, **{name: value for name, value in said.items() if name not in typed}}


def _evaluation(path: Path, steps: Callable[..., Steps | None], count: int,
                progress: Callable[[int, int], None]) -> Report:
    """Make the report of an evaluation; its steps are run as they were measured."""
    from ubcn_ros.report.evaluation import Evaluation, evaluation_report
    evaluation = Evaluation(path)
    made, said = evaluation_report(evaluation), evaluation.said
    again = steps(said['iterations'], precision=said['precision'],
                  processing_size=said['processing_size'],
                  convergence=said.get('convergence', 0.0))
    if again is not None:
        from ubcn_ros.report.scenes import add_pictures
        add_pictures(made, evaluation, again, count, progress)
    return made
