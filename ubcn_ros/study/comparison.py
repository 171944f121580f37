# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a study of baselines found: of table 4, and where others equal or beat UBCN."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ubcn_ros.report.charts import figure
from ubcn_ros.study.measured import difference
from ubcn_ros.study.paper import SECONDS, TABLE_4
from ubcn_ros.study.statements import Statement, amount, listing, residue_statement
from ubcn_ros.study.times import timed_rows

IDM, UBCN = 'idm', 'ubcn'
"""Rows of a study beside the baselines: IDM alone for the whole budget, and UBCN."""
MAY_BE_FASTER = 'ddn'
"""Of the target: UBCN is to be better than every baseline and faster than all but this one."""
BUDGETS = {'samples': 'for as many samples', 'time': 'for as much time'}
"""Budgets of training, in words."""

_LAST_DIGIT = 0.01  # MB, of the paper's, which are rounded or cut
_UNITS = {'psnr': ('PSNR', 'dB', 2), 'miou': ('mIoU', 'points', 1), 'seconds': ('time', 's', 3)}


@dataclass(frozen=True)
class Pair:
    """
    One figure of UBCN and of another network.

    :param network: the other one.
    :param measure: 'psnr' (dB), 'miou' (%) or 'seconds'.
    :param where: rain rate in mm/hr, or device and size of the image.
    :param ours, theirs: UBCN's figure and the other's.
    """

    network: str
    measure: str
    where: str
    ours: float
    theirs: float

    @property
    def lead(self) -> float | None:
        """How much better the other one is; None where both are infinite."""
        less = self.measure == 'seconds'
        return difference(*((self.ours, self.theirs) if less else (self.theirs, self.ours)))

    def __str__(self) -> str:
        name, unit, digits = _UNITS[self.measure]
        where = f'on {self.where}' if self.measure == 'seconds' else f'at {self.where} mm/hr'
        said = f'{self.network} in {name} {where}: {self.theirs:.{digits}f}'
        return (f'{said} against {self.ours:.{digits}f}, by {amount(self.lead, digits)} {unit}'
                if self.lead else f'{said} {unit}, the same')


def pairs_of(rows: Mapping[str, Any]) -> list[Pair]:
    """
    Compare UBCN at its last step T with all others, IDM alone too, by rate.

    Dry images left as they are count for no mean PSNR: it is compared in rain alone.

    :param rows: of one budget, as of ``baselines.json``.
    :return: of what both have figures for.
    """
    last = {name: row['steps'][-1] for name, row in rows.items() if 'steps' in row}
    ours = last.pop(UBCN, {})
    return [Pair(name, measure, rate, ours[rate][measure], theirs[rate][measure])
            for measure in ('psnr', 'miou') for rate in ours if measure != 'psnr' or float(rate)
            for name, theirs in last.items()
            if None not in (ours[rate][measure], theirs[rate][measure])]


def margins(compared: Iterable[Pair]) -> dict[str, dict[str, float]]:
    """
    Return UBCN's PSNR and mIoU less those of the best baseline: {'psnr': {rate: dB}, 'miou': ...}.

    The paper says that others do well in light rain and leave residue in heavy rain: then they
    grow with the rate.
    """
    best = {(pair.measure, pair.where): pair.lead
            for pair in sorted(compared, key=lambda pair: pair.theirs) if pair.network != IDM}
    return {measure: {where: -lead for (each, where), lead in best.items()
                      if each == measure and lead is not None} for measure in ('psnr', 'miou')}


def baselines_statements(results: Mapping[str, Any]) -> list[Statement]:
    """
    State what was found of table 4, of rain that others leave, and of this project's targets.

    :param results: as of ``baselines.json``.
    """
    times, settings = timed_rows(results['times']), results['settings']
    trained = {f'trained {BUDGETS.get(budget, budget)}': rows
               for budget, rows in results['trained'].items()}
    return [_size_statement(results), *_order_statements(times),
            *(residue_statement(how, **margins(pairs_of(rows)), missing=_without_figures(rows))
              for how, rows in trained.items()),
            *(_better_statement(settings['iterations'], how, rows)
              for how, rows in trained.items()),
            _faster_statement(settings, times)]


def trained_sizes(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Rows with the parameters, and the size of a checkpoint, of everything that was trained."""
    return {name: row for rows in results['trained'].values() for name, row in rows.items()
            if 'parameters' in row}


def _size_statement(results: Mapping[str, Any]) -> Statement:
    text, sizes = 'The networks have the sizes of table 4', trained_sizes(results)
    known = {name: {'4 bytes a parameter': 4e-6 * sum(sizes[name]['parameters'].values()),
                    'a checkpoint': sizes[name].get('checkpoint_mb', float('nan'))}
             for name in TABLE_4 if name in sizes}
    if not known:
        return Statement(text, None, 'none of them was trained here')
    fitting: dict[str, list[str]] = {}
    other = []
    for name, ours in known.items():
        close = [what for what, mb in ours.items() if abs(mb - TABLE_4[name][0]) < _LAST_DIGIT]
        if close:
            fitting.setdefault(close[0], []).append(name)
        else:
            ways = [f'{mb:.2f} MB by {what}' for what, mb in ours.items() if math.isfinite(mb)]
            other.append(f'{name} has {listing(ways)}, not {TABLE_4[name][0]:.2f}')
    return Statement(
        text, False if other else True if len(known) == len(TABLE_4) else None,
        f'{len(known) - len(other)} of {len(known)} within {_LAST_DIGIT:g} MB'
        + (': ' if fitting else '')
        + '; '.join(f'{listing(names)} by {what}' for what, names in fitting.items()),
        details=tuple(other))


def _order_statements(times: Mapping[str, Any]) -> list[Statement]:
    """State for each device whether what is slower in the paper is slower here."""
    text, statements = 'What is slower in table 4 is slower here', []
    for where, rows in times.items():
        ours = {name: row['ms'] / 1e3 for name, row in rows.items() if name in SECONDS}
        pairs = [sorted(pair, key=SECONDS.get) for pair in combinations(ours, 2)]
        other = [f'{slow} ({figure(ours[slow], 3)} s) before {fast} ({figure(ours[fast], 3)} s)'
                 for fast, slow in pairs if ours[slow] < ours[fast]]
        if pairs:
            statements.append(Statement(
                f'{text} ({where})', False if other else len(ours) == len(SECONDS) or None,
                f'{len(pairs) - len(other)} of {len(pairs)} pairs are in the same order'
                + (f'; the other way round: {listing(other)}' if other else '')))
    return statements or [Statement(text, None, 'no two of its methods were timed')]


def _without_figures(rows: Mapping[str, Any]) -> list[str]:
    """Name the baselines of table 4 that were not trained, or diverged."""
    return [name for name in TABLE_4 if 'steps' not in rows.get(name, ())]


def _better_statement(t: int, how: str, rows: Mapping[str, Any]) -> Statement:
    text = f'UBCN at T = {t} is better than every baseline in PSNR, and in mIoU after it ({how})'
    if 'steps' not in rows.get(UBCN, ()):
        return Statement(text, None, 'UBCN diverged' if UBCN in rows else
                         'UBCN is not trained yet', target=True)
    pairs = pairs_of(rows)
    found = {(pair.network, pair.measure) for pair in pairs}
    missing = [name for name in TABLE_4 if not {(name, 'psnr'), (name, 'miou')} <= found]
    return _target(text, pairs, [*TABLE_4], missing, 'not compared in both:')


def _faster_statement(settings: Mapping[str, Any], times: Mapping[str, Any]) -> Statement:
    """The engine's graphs and kernels are part of what is built; baselines run as written."""
    t, preset = settings['iterations'], settings['recipes'][IDM]['derain']['model']['preset']
    ours, names = f'{preset}, T = {t}', [name for name in TABLE_4 if name != MAY_BE_FASTER]
    compared = [Pair(name, 'seconds', where, rows[ours]['ms'] / 1e3, rows[name]['ms'] / 1e3)
                for where, rows in times.items() for name in names if {name, ours} <= rows.keys()]
    missing = [name for name in names if not times or not all(
        {name, ours} <= rows.keys() for rows in times.values())]
    return _target(f'UBCN at T = {t}, by the engine, is faster than all baselines but '
                   f'{MAY_BE_FASTER}, module by module', compared, names, missing,
                   'not timed on every device:')


def _target(text: str, compared: Sequence[Pair], names: Sequence[str], missing: Sequence[str],
            lacking: str) -> Statement:
    """
    State the target that no other network equals or beats UBCN; IDM may, and is named.

    :param names: of the baselines.
    :param missing: those of which it is not known, because of what is ``lacking``.
    """
    alone = [pair for pair in compared if pair.network == IDM and (pair.lead or 0) > 0]
    ahead = [pair for pair in compared
             if pair.network != IDM and pair.lead is not None and pair.lead >= 0]
    beaten = {pair.network for pair in ahead if pair.lead}
    equal = {pair.network for pair in ahead} - beaten
    behind = [] if ahead else [name for name in names if name not in missing]
    found = [f'{how} {listing(them)}' for how, them in (
        ('beaten by', sorted(beaten)), ('equalled by', sorted(equal)), ('it beats', behind),
        (lacking, missing)) if them]
    if alone:
        found.append(f'{IDM} alone, in the whole budget, beats it')
    return Statement(text, False if ahead else None if missing else True, '; '.join(found), True,
                     tuple(map(str, (*ahead, *alone))))
