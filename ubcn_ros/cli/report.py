# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn report`: a processed bag, a pair of them, or an evaluation as one HTML file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command, refuse_options, typed_options
from ubcn_ros.cli.options import (
    device_option,
    iterations_option,
    load_engine,
    model_option,
    precision_option,
    processing_option,
)
from ubcn_ros.cli.output import bar_updater, progress_bar, say_errors
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, PAGE, InputType

if TYPE_CHECKING:
    from ubcn_ros.report.page import Report
    from ubcn_ros.report.steps import Steps

_OF_BAGS = ('input_bag', 'truth', 'topics', 'frames', 'full_size')
_OF_ENGINE = ('iterations', 'device', 'precision', 'processing_size')
_OF_STEPS = ('step_frames', *_OF_ENGINE)


@click.command(cls=Command)
@click.argument('source', metavar='SOURCE', type=InputType(path_type=Path))
@click.argument('other', metavar='[OTHER]', required=False, type=InputType(path_type=Path))
@click.option('--out', default=Path('report.html'), show_default=True, type=PAGE,
              help='HTML file to write.')
@click.option('--input', 'input_bag', type=InputType(path_type=Path),
              help='Bag with the input images, if SOURCE holds only outputs.')
@click.option('--truth', type=InputType(path_type=Path),
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
    OTHER, a second one of the same drive, the two are compared as A and B. Cameras are matched by
    the names of their topics, else by stamps that no other camera has. Or SOURCE is the JSON file
    of `ubcn evaluate`. The page opens offline in any browser and loads nothing from elsewhere; a
    thousand frames stay below 25 MB. It also says what was not measured. The exit code is 1 if
    part of a bag cannot be read, if a bag was not processed to its end, or if a camera has no
    frame with all outputs.

    The steps of --model are computed with the options that SOURCE was made with, where it says
    them: the precision on a device of the same kind only. --precision and, for a bag, --iterations
    and --processing-size count if they are given.
    """
    from ubcn_ros.report.page import write

    def steps(said: dict[str, Any]) -> Steps:
        from ubcn_ros.report.steps import Steps
        options = _as_said(said, device, {'iterations': iterations, 'precision': precision,
                                          'processing_size': processing_size})
        count = options.pop('iterations')
        return Steps(load_engine(model=model, device=device, **options), count)

    measured = source.suffix.lower() == '.json' and not source.is_dir()
    if measured:
        _check_bag_options(source, other)
    if model is None:
        refuse_options(_OF_STEPS, 'steps are computed with a --model')
    again = None if model is None else steps
    with progress_bar(unit='frames') as bar:
        if measured:
            made = _evaluation(source, again, step_frames, bar_updater(bar))
        else:
            from ubcn_ros.report.bag import BagPaths, BagReportOptions, bag_report
            from ubcn_ros.report.recording import processed_with
            made = bag_report(BagPaths(source, other, input_bag, truth, topics),
                              BagReportOptions(out, frames, full_size, step_frames),
                              again and again(processed_with(source)), bar_updater(bar))
    write(out, made)
    frames = f'{len(made.frames)} frames, ' if made.frames else ''
    click.echo(f'wrote {out}: {frames}{out.stat().st_size / 1e6:.1f} MB')
    say_errors(made.errors)
    if made.errors:
        sys.exit(1)


def _check_bag_options(source: Path, other: Path | None) -> None:
    """Raise click.UsageError for what means nothing beside an evaluation."""
    if other:
        raise click.UsageError(f'{source} is an evaluation: leave out OTHER, {other}')
    refuse_options(_OF_BAGS, f'{source} is an evaluation')
    refuse_options(('iterations', 'processing_size'), f'{source} is an evaluation, whose steps '
                                                      'are run again as they were measured')


def _as_said(said: dict[str, Any], device: str, options: dict[str, Any]) -> dict[str, Any]:
    """Replace options that were not typed by those that SOURCE was made with, on 'device'."""
    from ubcn_ros.runtime.device import resolve_device
    typed, here = typed_options(), resolve_device(device).type
    same = said['device'].partition(':')[0] == here  # else it may take a minute for a frame
    return {**options, **{name: value for name, value in said.items() if name not in (
        *typed, 'device', *([] if same else ['precision']))}}


def _evaluation(path: Path, steps: Callable[[dict[str, Any]], Steps] | None, count: int,
                progress: Callable[[int, int], None]) -> Report:
    """Make the report of an evaluation; its steps are run as they were measured."""
    from ubcn_ros.report.evaluation import Evaluation, evaluation_report
    evaluation = Evaluation(path)
    made, said = evaluation_report(evaluation), evaluation.said
    if steps is not None:
        from ubcn_ros.report.scenes import add_pictures
        again = steps({name: said[name] for name in (*_OF_ENGINE, 'convergence') if name in said})
        add_pictures(made, evaluation, again, count, progress)
    return made
