# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figure 1: the paper's mIoU beside ours, the four claims, and how much is kept of clean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ubcn_ros.data.degradations import UNITS
from ubcn_ros.report.charts import Chart, Line, figure
from ubcn_ros.study.degradation_claims import Claim, claims, degradation_statements, over_seeds
from ubcn_ros.study.degradations import seeds_of, tables_of, training_title
from ubcn_ros.study.paper import FIGURE_1, FIGURE_1_LEVELS
from ubcn_ros.study.report.content import Charts, Section, StudyFigure, Table
from ubcn_ros.study.report.sources import FoundStudy
from ubcn_ros.study.statements import Statement, listing

_SHOWN = 6  # exceptions that are written out
_SMALL = 1.0  # points of mIoU: what another seed may change in a short training, a guess
_UNTRAINED = 20.0  # %: below, a network has learned some of the most frequent classes

Tables = Mapping[str, np.ndarray]


def degradation_sections(found: FoundStudy) -> Iterator[Section]:
    """Yield a section for each data set."""
    for name, data in found.results['data'].items():
        tables = tables_of(data['miou'])
        means = {kind: over_seeds(table).mean for kind, table in tables.items()}
        section = Section(f'{found.kind.title}: {name}', found.kind.paper, found.kind.lead)
        if (drawn := found.folder / f'heat-maps-{name}.png').is_file():
            section.blocks.append(StudyFigure(drawn, "Ours above the paper's, drawn when the "
                                                     'study last came to its end.'))
        section.blocks += [_miou_table(kind, means[kind])
                           for kind in FIGURE_1_LEVELS if kind in means]
        if means:
            section.blocks += [Charts(tuple(_kept_chart(*each) for each in means.items())),
                               _kept_table(means)]
        section.statements = [*map(_shortened, degradation_statements(name, tables))]
        section.opinions = [*_opinions(claims(tables), means)]
        section.missing = [*_missing(name, data, tables)]
        seeds = '; '.join(f'{kind} {", ".join(map(str, known))}'
                          for kind, rows in data['miou'].items() if (known := seeds_of(rows)))
        section.facts = [*found.facts(data['command']), ('tests', data['scenes']),
                         ('seeds', seeds), *(('diverged', f'{training}: {error}') for
                                             training, error in data.get('errors', {}).items())]
        yield section


def _missing(name: str, data: Mapping[str, Any], tables: Tables) -> Iterator[tuple[str, str]]:
    """
    Yield what is not tested of each seed that was begun; a kind has one seed at least.

    What diverged is not tried again by the command, and is not missing.
    """
    rows, errors = data['miou'], data.get('errors', {})
    first = min((seed for kind in rows.values() for seed in seeds_of(kind)), default=1)
    left = []
    for kind, levels in FIGURE_1_LEVELS.items():
        seeds = seeds_of(rows.get(kind, {})) or [first]
        for seed, table in zip(seeds, tables.get(kind, np.full((1, 4, 4), np.nan)), strict=True):
            tried = [training_title(kind, level, seed) in errors for level in levels]
            if count := np.isnan(table[~np.array(tried)]).sum():
                left.append(f'{count} of {kind} with seed {seed}')
    if left:
        yield (f'Tests on {name}, {listing(left)}: this command, with a --kind and --seed of each',
               data['command'])


def _miou_table(kind: str, ours: np.ndarray) -> Table:
    """Lay out the paper's figure beside ours, level of training down, of the test across."""
    levels = tuple(f'{level:g}' for level in FIGURE_1_LEVELS[kind])
    both = np.hstack([FIGURE_1[kind], ours])
    best = np.argwhere(both == np.fmax.reduce(both))  # of no value in a column: none
    return Table(
        f'{kind}, {UNITS[kind]}: mIoU, %', ('trained ↓ tested →', *levels * 2),
        tuple((level, *map(figure, row)) for level, row in zip(levels, both, strict=True)),
        (('', 1), ("paper's", 4), ('ours', 4)), frozenset((r, c + 1) for r, c in best.tolist()),
        "The paper's are read off, ±0.3.")


def _kept(table: np.ndarray) -> np.ndarray:
    """Share of the mIoU of clean training on clean tests, %; NaN where that is 0."""
    return 100 * table / (table[0, 0] or np.nan)


def _kept_chart(kind: str, ours: np.ndarray) -> Chart:
    levels = FIGURE_1_LEVELS[kind]

    def line(name: str, values: np.ndarray, dashed: bool) -> Line:
        return Line(name, tuple(zip(map(float, levels), map(float, values), strict=True)), dashed)

    own, paper = _kept(ours), _kept(np.array(FIGURE_1[kind]))
    return Chart(f'{kind}: what is kept of the clean mIoU', f'level of the test, {UNITS[kind]}',
                 'mIoU, % of clean training on clean tests', (
                     line('clean, ours', own[0], False),
                     line('matched, ours', own.diagonal(), False),
                     line('clean, paper', paper[0], True),
                     line('matched, paper', paper.diagonal(), True)))


def _kept_table(means: Tables) -> Table:
    """Compare with the paper what does not depend on how good the network is."""
    rows = []
    for kind, ours in means.items():
        paper = np.array(FIGURE_1[kind])
        cells: list[str] = []
        for value in (lambda t: t[0, 0], lambda t: _kept(t)[0, 3], lambda t: _kept(t)[3, 3]):
            cells += [figure(float(value(paper))), figure(float(value(ours)))]
        rows.append((kind, *cells, figure(_rank_correlation(paper, ours), 2)))
    return Table('Side by side, at the heaviest level', (
        'kind', *('paper', 'ours') * 3, 'rank correlation'), tuple(rows), (
        ('', 1), ('clean on clean, mIoU %', 2), ('kept, trained clean, %', 2),
        ('kept, trained for it, %', 2), ('', 1)),
        note='Kept is the share of the mIoU of clean training on clean tests. Rank correlation '
             '(Spearman) is of all cells that were measured.')


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's correlation of the cells that both have; None of fewer than three."""
    import torch
    from torchmetrics.functional import spearman_corrcoef
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3:
        return None
    return float(spearman_corrcoef(*(torch.from_numpy(values[both]).float()
                                     for values in (first, second))))


def _shortened(statement: Statement) -> Statement:
    """Leave out all but the largest exceptions."""
    shown, more = statement.details[:_SHOWN], len(statement.details) - _SHOWN
    return replace(statement, details=(*shown, f'and {more} more, smaller')) if more > 0 else \
        statement


def _opinions(checked: list[Claim], means: Tables) -> Iterator[str]:
    """Yield what may explain the differences that there are."""
    clean = {kind: float(mean[0, 0]) for kind, mean in means.items() if np.isfinite(mean[0, 0])}
    if clean and min(clean.values()) < _UNTRAINED:
        yield (f'With {figure(min(clean.values()))} % for clean training on clean tests these '
               'networks have hardly learned the classes: from so short a training nothing '
               'follows about the paper.')
        return
    exceptions = [each for claim in checked for each in claim.exceptions]
    if exceptions:
        small = [each for each in exceptions if -each.difference < _SMALL or each.most > 0]
        if small:
            yield (f'{len(small)} of the {len(exceptions)} exceptions are smaller than '
                   f'{_SMALL:g} point or turn round with the seed: we take them for the noise of '
                   'short trainings and not for a law.')
        if len(small) < len(exceptions):
            yield (f'The {"other " * bool(small)}exceptions are larger than what we take for '
                   'noise. A network that is trained for minutes may gain more from seeing easier '
                   'images, on which it learns the classes, than from seeing the level that it '
                   'is tested at.')
    away = max((value - FIGURE_1[kind][0][0] for kind, value in clean.items()), key=abs,
               default=0.0)
    if abs(away) > _SMALL:
        yield (f'Clean training on clean tests is {figure(abs(away))} points '
               f'{"below" if away < 0 else "above"} the paper: another network, other data and '
               'other classes, and a training of another length. The order within a figure, and '
               'the share that is kept, compare; the mIoU themselves do not.')
    for kind, mean in means.items():
        ours, paper = _kept(mean)[0, 3], _kept(np.array(FIGURE_1[kind]))[0, 3]
        if np.isfinite(ours) and abs(ours - paper) > 10:
            yield (f'A network trained on clean images keeps {figure(float(ours), 0)} % in the '
                   f"heaviest {kind}, the paper's {figure(float(paper), 0)} %: "
                   + _KIND_OPINIONS[kind])


_KIND_OPINIONS = {
    'rain': 'rendered rain is not one thing; ours has a veil that grows with the distance, and '
            'the paper does not give all parameters of its own.',
    'pepper': 'images of another size lose another part of what is small to the same share of '
              'black pixels.',
    'haze': 'the same extinction takes what the distances make of it; where a data set has none, '
            'ours follow the classes, whose outlines the haze then shows.',
    'gaussian': 'noise of the same sigma is averaged away by strided and by larger networks to '
                'different degrees.'}
