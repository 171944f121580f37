# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures 2 to 9: pictures of methods, steps and real rain, and what their numbers say."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from ubcn_ros.report.charts import figure
from ubcn_ros.study.measured import MEASURES, mean
from ubcn_ros.study.methods import methods_statements
from ubcn_ros.study.report.content import (
    SEEN_RAIN,
    Section,
    StudyFigure,
    Table,
    quality_table,
)
from ubcn_ros.study.report.sources import FoundStudy
from ubcn_ros.study.statements import Statement, listing
from ubcn_ros.study.steps import steps_statements
from ubcn_ros.study.trained_baselines import INPUT, OURS
from ubcn_ros.text_table import counted


def methods_sections(found: FoundStudy) -> Iterator[Section]:
    """Show every method in light and in heavy rain."""
    images = found.results['images']
    rates = sorted({rate for image in images for rate in image['rates']}, key=float)
    titles = list(dict.fromkeys(
        title for image in images for rate in image['rates'].values() for title in rate))
    section = _section(found)
    section.blocks.append(_means(images, rates, titles))
    section.missing = _left_out(found)
    section.statements = methods_statements(found.results)
    section.opinions = [*_method_opinions(section.statements[0], {*titles} - {INPUT, OURS})]
    yield section


def _section(found: FoundStudy) -> Section:
    """Begin a section with the pictures of a study."""
    section = found.section()
    section.blocks += [StudyFigure(path, f'{section.title}, by the command below.')
                       for path in found.pictures()]
    section.facts += [(f'model {title}', f'{model["name"]}, sha256 {model["sha256"]}')
                      for title, model in found.results.get('models', {}).items()]
    if ended := found.results.get('diverged'):
        section.facts.append(('diverged', listing(ended)))
    return section


def _left_out(found: FoundStudy) -> list[tuple[str, str]]:
    """Name the baselines that were not trained when the figure was drawn; none that diverged."""
    ended = found.results.get('diverged', ())
    titles = [title for title in found.results['missing'] if title not in ended]
    settings, command = found.results['settings'], 'ubcn study baselines --data FOLDER'
    if 'baselines' in settings:  # where the figure looks for them
        command += ' ' + shlex.join(('--out', settings['baselines'],
                                     '--budget', settings['budget']))
    return [(f'{listing(titles)} in the figure: they are trained by this, and then the figure is '
             'drawn again', command)] if titles else []


def _means(images: list[Any], rates: list[str], titles: list[str]) -> Table:
    """Means over the images, a row a method, the first being the input."""
    rows = [(title, {rate: {key: mean([image['rates'][rate][title][key] for image in images
                                       if title in image['rates'].get(rate, {})])
                            for key, _, _ in MEASURES} for rate in rates}) for title in titles]
    return quality_table(
        f'Means over the {counted(len(images), "image")} shown', rates, rows,
        note='Of so few images: the figures of a whole data set are in the table of the '
             'baselines.')


def _method_opinions(statement: Statement, theirs: set[str]) -> Iterator[str]:
    if statement.holds is False:
        yield SEEN_RAIN
    if theirs:
        yield ('UBCN is the model that was given, which may have been trained otherwise than the '
               'baselines beside it: those of the same budget are in the table of the baselines.')


def steps_sections(found: FoundStudy) -> Iterator[Section]:
    """Show the steps of the loop on single images."""
    images = found.results['images']
    section = _section(found)
    measures = (*MEASURES, ('error', 'mean error of 255', 2), ('wrong', 'wrong labels %', 1))
    rows = []
    for image in images:
        shown = [('input', image['input']), *((f'step {step["t"]}', step)
                                              for step in image['steps'])]
        rows += [(f'{image["name"]}, {name}', *(figure(figures[key], digits)
                                                for key, _, digits in measures))
                 for name, figures in shown]
    section.blocks.append(Table('Every step', ('image', *(heading for _, heading, _ in measures)),
                                tuple(rows)))
    section.statements = steps_statements(found.results)
    section.opinions = [*_step_opinions(section.statements)]
    yield section


def _step_opinions(statements: list[Statement]) -> Iterator[str]:
    if any(statement.holds is False for statement in statements):
        yield ('A step that changes little may have little left to do: what an image-level '
               'network leaves of rain that it knows is mostly low in frequency, where labels say '
               'little of what is below.')
    if all(statement.holds for statement in statements):
        yield ('Training unrolled is for that, each step on the output of the one before, with '
               'a loss on every step; steps that are trained on ground-truth labels or on clean '
               'images need not gain from one to the next.')


def real_rain_sections(found: FoundStudy) -> Iterator[Section]:
    """Show photographs, of which nothing is measured against a truth."""
    images = found.results['images']
    section = _section(found)
    section.missing = _left_out(found)
    titles = list(dict.fromkeys(title for image in images for title in image['change']))
    if images:
        section.blocks.append(Table(
            'How much each method changes a photograph (mean absolute difference, of 255)',
            ('photograph', *titles),
            tuple((image['name'], *(figure(image['change'].get(title), 2) for title in titles))
                  for image in images),
            note='More change is not better: there is no ground truth.'))
    section.opinions = ['Nobody can say from this who derains real rain best: the picture is for '
                        'the reader to judge.'] if images else []
    yield section
