# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where other networks are as good or as fast as UBCN, or more, and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ubcn_ros.study.measured import difference
from ubcn_ros.study.paper import TABLE_4

IDM, UBCN = 'idm', 'ubcn'
"""Rows of a study of baselines that are none: IDM alone for the whole budget, and UBCN."""
MAY_BE_FASTER = 'ddn'
"""Of the target: UBCN is to be better than every baseline and faster than all but this one."""
FASTER = (f'UBCN at T = {{}}, by the engine, is faster than all baselines but {MAY_BE_FASTER}, '
          'module by module')
"""
The claim of the target, for a number of steps. The engine's graphs and kernels are part of what is
built here; baselines run as they are written.
"""

_UNITS = {'psnr': ('PSNR', 'dB', 2), 'miou': ('mIoU', 'points', 1), 'seconds': ('time', 's', 3)}


@dataclass(frozen=True)
class Lead:
    """
    One figure in which another network equals or beats UBCN.

    :param network: the other one.
    :param figure: 'psnr' (dB), 'miou' (%) or 'seconds'.
    :param where: rain rate in mm/hr, or device and size of the image.
    :param ours, theirs: UBCN's figure and the other's.
    """

    network: str
    figure: str
    where: str
    ours: float
    theirs: float

    @property
    def by(self) -> float:
        """How much better the other one is, 0 where both are equal."""
        return abs(self.theirs - self.ours)

    def __str__(self) -> str:
        name, unit, digits = _UNITS[self.figure]
        where = f'on {self.where}' if self.figure == 'seconds' else f'at {self.where} mm/hr'
        said = f'{self.network} in {name} {where}: {self.theirs:.{digits}f}'
        return (f'{said} against {self.ours:.{digits}f}, by {self.by:.{digits}f} {unit}'
                if self.by else f'{said} {unit}, the same')


def as_good_as_ubcn(results: Mapping[str, Any], budget: str) -> list[Lead] | None:
    """
    List what equals or beats UBCN at its last step T in PSNR or mIoU, by rate.

    :param results: as of ``baselines.json``.
    :param budget: 'samples' or 'time', for which they were trained.
    :return: IDM alone is among the others; None where UBCN has no figures for that budget.
    """
    rows = _last_steps(results, budget)
    ours = rows.pop(UBCN, None)
    if ours is None:
        return None
    return [Lead(name, figure, rate, ours[rate][figure], theirs[rate][figure])
            for figure in ('psnr', 'miou') for rate in _decides(figure, ours)
            for name, theirs in rows.items()
            if (by := difference(theirs[rate][figure], ours[rate][figure])) is not None
            and by >= 0]


def margins(results: Mapping[str, Any], budget: str) -> dict[str, dict[str, float]]:
    """
    Return UBCN's PSNR and mIoU less those of the best baseline, by rate.

    The paper says that others do well in light rain and leave residue in heavy rain: then they
    grow with the rate.

    :param results, budget: as for ``as_good_as_ubcn``.
    :return: {'psnr': {rate: dB}, 'miou': {rate: points}}, without what is not known, and PSNR
        in rain alone.
    """
    rows = _last_steps(results, budget)
    ours = rows.pop(UBCN, {})
    rows.pop(IDM, None)
    found: dict[str, dict[str, float]] = {'psnr': {}, 'miou': {}}
    for figure, by_rate in found.items():
        for rate in _decides(figure, ours):
            others = [row[rate][figure] for row in rows.values() if row[rate][figure] is not None]
            lead = difference(ours[rate][figure], max(others, default=None))
            if lead is not None:
                by_rate[rate] = lead
    return found


def _decides(figure: str, rates: Iterable[str]) -> list[str]:
    """Rates that a figure counts at: one dry image left as it is makes its mean PSNR infinite."""
    return [rate for rate in rates if figure != 'psnr' or float(rate)]


def _last_steps(results: Mapping[str, Any], budget: str) -> dict[str, Any]:
    """Return {network: {rate: figures}} of those that have figures."""
    return {name: row['steps'][-1] for name, row in results['trained'].get(budget, {}).items()
            if 'steps' in row}


def as_fast_as_ubcn(results: Mapping[str, Any]) -> list[Lead] | None:
    """
    List the baselines that are as fast as UBCN's preset at T steps or faster, by device.

    :param results: as of ``baselines.json``.
    :return: with the one that may be; None where UBCN was not timed.
    """
    key, leads, timed = _timed_name(results), [], False
    for device, sizes in results['times'].items():
        for size, rows in sizes.items():
            if key in rows:
                timed = True
                ours = rows[key]['ms'] / 1e3
                leads += [Lead(name, 'seconds', f'{device} {size}', ours, row['ms'] / 1e3)
                          for name, row in rows.items()
                          if ', T = ' not in name and row['ms'] / 1e3 <= ours]
    return leads if timed else None


def not_timed_beside(results: Mapping[str, Any]) -> list[str]:
    """
    List the baselines of the target that were not timed beside UBCN on every device and size.

    :param results: as of ``baselines.json``.
    """
    ours = _timed_name(results)
    rows = [rows for sizes in results['times'].values() for rows in sizes.values()]
    return [name for name in TABLE_4 if name != MAY_BE_FASTER
            and not all({name, ours} <= timed.keys() for timed in rows)]


def _timed_name(results: Mapping[str, Any]) -> str:
    """Name of the row of times that is UBCN's: its preset, with the whole loop."""
    settings = results['settings']
    preset = settings['recipes'][IDM]['derain']['model']['preset']
    return f'{preset}, T = {settings["iterations"]}'


def target_text(results: Mapping[str, Any]) -> str:
    """
    Say whether UBCN is better than every baseline and faster than all but one.

    :param results: as of ``baselines.json``.
    """
    t = results['settings']['iterations']
    lines = []
    for budget, rows in results['trained'].items():
        leads = as_good_as_ubcn(results, budget)
        if 'error' in rows.get(UBCN, ()):
            lines.append(f'for the same {budget}, UBCN diverged')
        elif leads is not None:
            missing = [name for name in TABLE_4 if 'steps' not in rows.get(name, ())]
            lines += _lines(f'for the same {budget}, UBCN at T = {t} is better than every '
                            'baseline in PSNR and mIoU', [x for x in leads if x.network != IDM],
                            missing, len(TABLE_4))
            lines += [_margin_line(figure, by_rate)
                      for figure, by_rate in margins(results, budget).items() if by_rate]
            lines += [f'  IDM alone, in the whole budget, is better: {lead}' for lead in leads
                      if lead.network == IDM and lead.by]
    leads = as_fast_as_ubcn(results)
    if leads is not None:
        lines += _lines(FASTER.format(t),
                        [lead for lead in leads if lead.network != MAY_BE_FASTER],
                        not_timed_beside(results), len(TABLE_4) - 1)
    return '\n'.join(lines)


def _margin_line(figure: str, by_rate: Mapping[str, float]) -> str:
    name, unit, digits = _UNITS[figure]
    values = ' / '.join(f'{value:+.{digits}f}' for value in by_rate.values())
    return f'  {name} over the best of them at {" / ".join(by_rate)} mm/hr: {values} {unit}'


def _lines(claim: str, against: list[Lead], missing: list[str], of: int) -> list[str]:
    """Say whether a claim holds of so many baselines, and of which of them it is not known."""
    if against:
        how = 'beaten' if all(lead.by for lead in against) else 'equalled or beaten'
        return [f'{claim}: no, it is {how} by', *(f'  {lead}' for lead in against)]
    if missing:
        return [f'{claim}: not known of {", ".join(missing)}'
                + (', yes of the others' if len(missing) < of else '')]
    return [f'{claim}: yes']
