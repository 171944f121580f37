# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The four claims of the paper's figure 1, checked cell by cell."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from ubcn_ros.data.degradations import UNITS
from ubcn_ros.study.paper import FIGURE_1, FIGURE_1_LEVELS
from ubcn_ros.study.statements import Statement, amount

_TARGET_CLAIMS = 3  # of the four, which are to hold
_TARGET_SEEDS = {'rain': 3}  # of each kind, 1 where it says none

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
        ('Training at the level of the test is best in every column', everything,
         [((test, test), (train, test)) for test, train in other]),
        ('Clean training on a clean test is best of all', everything,
         [((0, 0), cell) for cell in cells[1:]]),
        ('Rows of rain and pepper fall with the level of the test', ('rain', 'pepper'),
         [((train, test), (train, test + 1)) for train, test in cells if test < 3]),
        ('Rows of haze and gaussian noise peak at their own level', ('haze', 'gaussian'),
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


class OverSeeds(NamedTuple):
    """Mean, lowest and highest over the seeds, each (4, 4) in %, NaN where nothing is known."""

    mean: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


def over_seeds(values: np.ndarray) -> OverSeeds:
    """
    Sum up one kind of degradation.

    :param values: (4, 4) or (S, 4, 4), as of ``claims``.
    """
    values = np.asarray(values, float).reshape(-1, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of cells of which nothing is known
        return OverSeeds(np.nanmean(values, 0), np.nanmin(values, 0), np.nanmax(values, 0))


def degradation_statements(name: str, tables: Mapping[str, np.ndarray]) -> list[Statement]:
    """
    State what holds of figure 1's claims, and whether this project's target is reached.

    :param name: of the data set.
    :param tables: as of ``claims``.
    """
    papers = claims({kind: np.array(table) for kind, table in FIGURE_1.items()})
    found = [_statement(*both) for both in zip(claims(tables), papers, strict=True)]
    return [*found, _target(name, [each.holds for each in found[:_TARGET_CLAIMS]], tables)]


def _statement(ours: Claim, paper: Claim) -> Statement:
    """State whether a claim holds, and by how much here and in the paper's own figure."""
    total, below = len(ours.comparisons), ours.exceptions
    found = (f'not in {len(below)} of {total} comparisons, by up to {amount(-ours.margin)} points'
             if below else
             f'in {total} of {total} comparisons, by {amount(ours.margin)} points or more')
    if ours.missing:
        found = f'{found}; {ours.missing} are not measured' if total else 'not measured'
    return Statement(ours.text, None if ours.missing and not below else ours.holds,
                     f"{found}; the paper's figure: by {amount(paper.margin)} points or more",
                     details=tuple(map(_below_text, below)))


def _below_text(c: Comparison) -> str:
    """Say how far the cell is below that a claim puts first, and the spread over the seeds."""
    (train, test), (other, of) = c.higher, c.lower
    levels = [f'{level:g}' for level in FIGURE_1_LEVELS[c.kind]]
    where, first, second = c.kind, f'trained at {levels[train]}', f'trained at {levels[other]}'
    if test == of:
        where += f', tested at {levels[test]}'
    else:
        first, second = f'{first}, tested at {levels[test]}', f'{second}, tested at {levels[of]}'
    below = f'is {amount(-c.difference)} below' if c.difference else 'equals'
    spread = f' (single seeds {amount(-c.most)} to {amount(-c.least)})' if c.seeds > 1 else ''
    return f'{where} ({UNITS[c.kind]}): {first} {below} {second}{spread}'


def _target(name: str, hold: Sequence[bool | None], tables: Mapping[str, np.ndarray]) -> Statement:
    """State whether these claims hold in all comparisons, over as many seeds as are wanted."""
    seeds = {kind: int(np.isfinite(tables.get(kind, ())).reshape(-1, 16).all(1).sum())
             for kind in FIGURE_1_LEVELS}
    done = all(count >= _TARGET_SEEDS.get(kind, 1) for kind, count in seeds.items())
    return Statement(
        f'The first three claims hold on {name} (three seeds for rain, one for the rest)',
        False if False in hold else done and None not in hold or None,
        f'{hold.count(True)} of {len(hold)} hold in all comparisons; whole seeds: '
        + ', '.join(f'{kind} {count}' for kind, count in seeds.items()), target=True)
