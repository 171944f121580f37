# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The four claims of the paper's figure 1, checked cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ubcn_ros.study.paper import FIGURE_1_LEVELS

UNITS = {'rain': 'mm/hr', 'pepper': '% of the pixels', 'haze': '1/m', 'gaussian': 'sigma of 255'}
"""Of the levels, by kind."""

Cell = tuple[int, int]  # number of the level of training and of the level of test


@dataclass(frozen=True)
class Comparison:
    """
    Two cells of a kind, of which a claim says that the first is above the second.

    :param higher, lower: numbers of the levels of training and test, 0 to 3.
    :param difference: mIoU of the first less that of the second, points, the mean over the seeds
        that both were measured with.
    :param least, most: of the single seeds' differences.
    :param seeds: how many.
    """

    kind: str
    higher: Cell
    lower: Cell
    difference: float
    least: float
    most: float
    seeds: int


@dataclass(frozen=True)
class Claim:
    """
    One claim, and what it says of every pair of cells that was measured.

    :param text: in words.
    :param comparisons: of what was measured.
    :param missing: how many were not.
    """

    text: str
    comparisons: tuple[Comparison, ...]
    missing: int

    @property
    def holds(self) -> bool | None:
        """Whether it holds in all that was measured; None where nothing was."""
        return not self.exceptions if self.comparisons else None

    @property
    def exceptions(self) -> list[Comparison]:
        """Where it does not hold, the largest first."""
        return sorted((c for c in self.comparisons if c.difference <= 0),
                      key=lambda c: c.difference)

    @property
    def margin(self) -> float | None:
        """Return the smallest difference, points, 0 or below where it does not hold."""
        return min((c.difference for c in self.comparisons), default=None)


def claims(tables: Mapping[str, np.ndarray]) -> list[Claim]:
    """
    Check the claims of figure 1.

    :param tables: mIoU in % by kind, (4, 4) or of S seeds (S, 4, 4), [level of training][level
        of test], NaN where it was not measured; a kind may be missing.
    :return: the four claims, in the paper's order.
    """
    everything = tuple(FIGURE_1_LEVELS)
    cells = [*product(range(4), repeat=2)]
    other = [(one, two) for one, two in cells if one != two]
    return [_claim(text, kinds, tables, pairs) for text, kinds, pairs in (
        ('training at the level of the test is best in every column', everything,
         [((test, test), (train, test)) for test, train in other]),
        ('clean training on a clean test is best of all', everything,
         [((0, 0), cell) for cell in cells[1:]]),
        ('rows of rain and pepper fall with the level of the test', ('rain', 'pepper'),
         [((train, test), (train, test + 1)) for train, test in cells if test < 3]),
        ('rows of haze and gaussian noise peak at their own level', ('haze', 'gaussian'),
         [((train, train), (train, test)) for train, test in other]))]


def _claim(text: str, kinds: Sequence[str], tables: Mapping[str, np.ndarray],
           pairs: Sequence[tuple[Cell, Cell]]) -> Claim:
    compared, missing = [], 0
    for (higher, lower), kind in product(pairs, kinds):
        table = np.asarray(tables.get(kind, np.full((1, 4, 4), np.nan)), float).reshape(-1, 4, 4)
        found = table[:, higher[0], higher[1]] - table[:, lower[0], lower[1]]
        found = found[np.isfinite(found)]
        if len(found):
            compared.append(Comparison(kind, higher, lower, float(found.mean()),
                                       float(found.min()), float(found.max()), len(found)))
        else:
            missing += 1
    return Claim(text, tuple(compared), missing)


def claims_text(found: Sequence[Claim]) -> str:
    """Say of each claim whether it holds, and where not, the cells and by how much."""
    lines = []
    for number, claim in enumerate(found, 1):
        total = len(claim.comparisons)
        if claim.holds is None:
            said = 'not measured'
        elif claim.holds:
            said = f'holds in {total} of {total} comparisons, by {claim.margin:.1f} or more'
        else:
            said = (f'does not hold in {len(claim.exceptions)} of {total} comparisons, by up to '
                    f'{abs(claim.margin):.1f}')
        if claim.missing and total:
            said += f'; {claim.missing} not measured'
        lines.append(f'{number}. {claim.text}: {said}')
        lines += [f'   {comparison_text(each)}' for each in claim.exceptions]
    return '\n'.join(lines)


def comparison_text(c: Comparison) -> str:
    """Say how far the cell is below that a claim puts first, and the spread over the seeds."""
    (train, test), (other, of) = c.higher, c.lower
    levels = [f'{level:g}' for level in FIGURE_1_LEVELS[c.kind]]
    where, first, second = c.kind, f'trained at {levels[train]}', f'trained at {levels[other]}'
    if test == of:
        where += f', tested at {levels[test]}'
    else:
        first, second = f'{first}, tested at {levels[test]}', f'{second}, tested at {levels[of]}'
    below = f'is {-c.difference:.1f} below' if c.difference else 'equals'
    spread = f' (single seeds {-c.most:.1f} to {-c.least:.1f})' if c.seeds > 1 else ''
    return f'{where} ({UNITS[c.kind]}): {first} {below} {second}{spread}'
