# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the commands share that draw figures of single images: options, loading, writing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.checked_data import open_kept
from ubcn_ros.cli.commands import refuse_options, typed_command
from ubcn_ros.cli.options import (
    data_option,
    device_option,
    iterations_option,
    limit_option,
    model_option,
    once,
    precision_option,
    processing_option,
    several,
    size_option,
    split_option,
)
from ubcn_ros.cli.output import say
from ubcn_ros.cli.param_types import InputType, Number

if TYPE_CHECKING:
    from ubcn_ros.data.scenes import SceneList
    from ubcn_ros.evaluation.measure import LoadedModel
    from ubcn_ros.study.print_grid import Grid
    from ubcn_ros.study.results_file import StudyResults
    from ubcn_ros.study.statements import Statement

STUDY = Path('runs/study-baselines')


class ZoomType(click.ParamType):
    """WIDTHxHEIGHT+X+Y in pixels, to (x, y, width, height)."""

    name = 'zoom'

    def convert(self, value: str, param: Any, ctx: Any) -> tuple[int, int, int, int]:
        found = re.fullmatch('([0-9]{1,5})x([0-9]{1,5})[+]([0-9]{1,5})[+]([0-9]{1,5})', value)
        if not found or min(int(found[1]), int(found[2])) < 4:
            self.fail(f"'{value}' is not WIDTHxHEIGHT+X+Y with a width and height of 4 pixels at "
                      'least, like 90x60+200+150', param, ctx)
        return int(found[3]), int(found[4]), int(found[1]), int(found[2])


def picture_options(size: str) -> Callable[[Callable], Callable]:
    """Options of all figures, with those of a ``FigureView``; ``size`` helps --size."""
    return several(
        model_option(help='UBCN model: name in models/, or path of a .safetensors file; its '
                          'segmentation network labels everything.'),
        iterations_option(help='T, steps of UBCN.'),
        size_option(default=None, help=size, show_default=False),
        click.option('--zoom', 'zooms', type=ZoomType(), multiple=True, metavar='WIDTHxHEIGHT+X+Y',
                     help='Show this part of an image (in pixels) enlarged in a corner; give '
                          'one for all images, or one for each.'),
        click.option('--width', type=Number(1, 20), default=7.0, show_default=True,
                     help='Width of the figure in inches: 7 fills a two-column page, 3.3 one '
                          'column.'),
        device_option(), precision_option(default='fp32'), processing_option())


baselines_options = several(
    click.option('--baselines', 'folder', metavar='FOLDER',
                 type=InputType(exists=True, file_okay=False, path_type=Path),
                 help='Output folder of ubcn study baselines; missing baselines are skipped, '
                 f'with a message  [default: {STUDY}].'),
    click.option('--budget', type=click.Choice(['samples', 'time']), default='samples',
                 show_default=True,
                 help='Which trainings to show: on as many samples as IDM, or for as long.'))
"""Options of where the networks to compare with are."""


def scene_options(limit: int) -> Callable[[Callable], Callable]:
    """Options that say which scenes of a data set are shown; ``limit`` is the default."""
    return several(
        data_option(), split_option(),
        click.option('--image', 'names', multiple=True, callback=once, metavar='NAME',
                     help='Name of an image to show; may be repeated, in the order of the '
                          'figure  [default: --limit images].'),
        click.option('--stride', type=click.IntRange(1),
                     help='Take every n-th image  [default: spread evenly over all].'),
        limit_option(default=limit, show_default=True))


def shown_scenes(ours: LoadedModel, data: Path, split: str | None, names: tuple[str, ...],
                 stride: int | None, limit: int) -> tuple[SceneList, list[int]]:
    """Return the labelled scenes of ``scene_options``, and the indices of those to show."""
    if names:
        refuse_options(('stride', 'limit'), '--image says which images are shown')
    from ubcn_ros.study.measured import labelled_scenes
    from ubcn_ros.study.shown_image import chosen_indices
    scenes = labelled_scenes(open_kept([data], ours.network.label_set, ours.info.name),
                             split)
    return scenes, chosen_indices(scenes, names, stride, limit)


def load_theirs(folder: Path | None, budget: str, ours: LoadedModel
                ) -> tuple[dict[str, LoadedModel], dict[str, list[str]]]:
    """Load the baselines that there are, as UBCN is; say and return which are not, and why."""
    from ubcn_ros.study.comparison import UBCN
    from ubcn_ros.study.trained_baselines import TITLES, diverged, load_baselines, trained_file
    folder = folder or STUDY
    theirs = load_baselines(folder, budget, str(ours.device), ours.precision)
    missing = [title for title in TITLES.values() if title not in theirs]
    ended = [title for title in diverged(folder, budget) if title in missing]
    if ended:
        say(f'left out: {", ".join(ended)}, whose training diverged')
    if untrained := [title for title in missing if title not in ended]:
        say(f'left out: {", ".join(untrained)}, of which {folder / budget} has no '
            f'model file: ubcn study baselines --out {folder} trains them')
    fair = trained_file(folder, budget, UBCN)
    if theirs and fair and not fair.samefile(ours.info.path):
        say(f'UBCN is {ours.info.name}, the baselines had another budget: --model {fair} '
            'had the same')
    return theirs, {'missing': missing, 'diverged': ended}


def begin_results() -> StudyResults:
    """Return the results of a study without settings or figures; its time counts from now."""
    from ubcn_ros.study.results_file import StudyResults
    return StudyResults({'command': typed_command(), 'settings': {}})


def write_figure(out: Path, name: str, grid: Grid, settings: Mapping[str, Any],
                 models: Mapping[str, LoadedModel], results: StudyResults,
                 statements: Callable[[Mapping[str, Any]], list[Statement]] = lambda _: []
                 ) -> None:
    """
    Write OUT/NAME.png, .pdf and .json, which are made anew each time, and print what they state.

    To be called in a ``single_run`` of OUT.

    :param models: by title; that of 'UBCN' says the device, the precision and the size.
    :param results: of ``begin_results``, with what was found.
    :param statements: makes those of the study of the content of its JSON file.
    """
    from ubcn_ros.runtime.cache import versions
    from ubcn_ros.study.print_grid import PAGE_HEIGHT, save_figure
    from ubcn_ros.study.results_file import read_results
    from ubcn_ros.study.statements import statements_text
    figure = grid.figure()
    record = out / f'{name}.json'
    record.unlink(missing_ok=True)  # never beside the pictures of another run
    paths, height = save_figure(figure, out, name), figure.get_figheight()
    ours = models['UBCN']
    results.update(
        settings={**settings, 'device': str(ours.device), 'precision': ours.precision,
                  'processing_size': ours.processing_size, 'versions': versions('torch', 'numpy')},
        pictures=[path.name for path in paths],
        models={title: {'name': model.info.name, 'file': model.info.path.name,
                        'sha256': model.info.sha256} for title, model in models.items()})
    results.save(record)
    if stated := statements(read_results(record)):
        click.echo(f'{statements_text(stated)}\n')
    for path in (*paths, record):
        click.echo(f'wrote {path}')
    if height > PAGE_HEIGHT:
        click.echo(f'the figure is {height:.1f} inches high, a page {PAGE_HEIGHT:g}: take '
                   'fewer images, or a smaller --width')
