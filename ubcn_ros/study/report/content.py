# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the report of the studies says, before it is a page: sections of statements and blocks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar, NamedTuple

from ubcn_ros.report.charts import Chart, Line, figure
from ubcn_ros.study.measured import MEASURES, difference
from ubcn_ros.study.statements import ASCII, Statement, statements_text
from ubcn_ros.text_table import table

SEEN_RAIN = (
    'Networks that have seen the heaviest rain in training, and the veil that it is mostly made '
    'of, leave less of it. The paper does not say which rates its baselines had seen.')
"""Why we think that others may leave no residue in heavy rain."""

NO_GPU_TIMES = ('Times and memory on a GPU: this command on a machine that has one, without '
                '--frames 0')
"""What is missing of a study that was not timed on a GPU."""


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    kind: ClassVar[str] = 'charts'
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Table:
    """
    A table of text.

    :param columns: the first is that of the names.
    :param groups: heading and number of columns of each group above them; none for no groups.
    :param strong: cells that stand out, by row and column.
    """

    kind: ClassVar[str] = 'table'
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    strong: frozenset[tuple[int, int]] = frozenset()
    note: str = ''


@dataclass(frozen=True)
class StudyFigure:
    """A figure that a study has drawn beside its JSON, a PNG; as PDF, for print, beside it."""

    kind: ClassVar[str] = 'figure'
    path: Path
    caption: str


Block = Charts | Table | StudyFigure


@dataclass
class Section:
    """
    One study on one data set.

    :param paper: what of the paper it makes again, such as 'Figure 1'.
    :param lead: what was done, a sentence or two.
    :param opinions: why we think it is so, conditional on what the figures say.
    :param facts: command, data, seeds, time: names and values.
    :param missing: what is not there, and the command that makes it.
    :param anchor: that links lead to, another one for each section of a report.
    """

    title: str
    paper: str
    lead: str
    statements: list[Statement] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    opinions: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    anchor: str = ''

    @property
    def empty(self) -> bool:
        """Whether nothing of it is there."""
        return not self.blocks and not self.statements


def section_text(section: Section) -> str:
    """Lay out the tables of a section, and below them its statements, for a terminal."""
    parts = []
    for block in section.blocks:
        if isinstance(block, Table):
            groups = [f'{name}: ' if name and not place else ''
                      for name, count in block.groups for place in range(count)]
            header = [group + column for group, column in zip_longest(
                groups, block.columns, fillvalue='')]
            parts.append('\n'.join(filter(None, (
                block.title, table(header, block.rows), block.note))).translate(ASCII))
    return '\n\n'.join([*parts, statements_text(section.statements)])


class Tally(NamedTuple):
    """How many claims ``agree``, ``differ`` and are ``open``, with words for the first two."""

    title: str
    agree: int
    differ: int
    open: int
    words: tuple[str, str]


@dataclass
class StudyReport:
    """All sections, and what the whole was made of."""

    title: str
    subtitle: str
    sections: list[Section]
    facts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def tallies(self) -> list[Tally]:
        """Of the claims of the paper and of the targets of this project."""
        verdicts = Counter((statement.target, statement.verdict) for section in self.sections
                           for statement in section.statements)
        return [Tally(title, *(verdicts[target, name] for name in ('agree', 'differ', 'open')),
                      words) for target, title, words in (
            (False, 'Claims of the paper', ('agree', 'differ')),
            (True, 'Targets of this project', ('reached', 'missed')))]

    @property
    def missing(self) -> list[tuple[str, str]]:
        """What is not there, of all sections, and the commands that make it."""
        return [line for section in self.sections for line in section.missing]


def quality_table(title: str, rates: Sequence[str],
                  rows: Sequence[tuple[str, Mapping[str, Mapping[str, float | None]]]],
                  names: str = 'method', note: str = '') -> Table:
    """
    Lay out the MEASURES of every rate, the best of each column in bold.

    :param rows: name and figures by rate; the first is the rainy image, which is not compared.
    :param names: what the names are.
    """
    columns = [(rate, *measure) for rate in rates for measure in MEASURES]
    strong = set()
    for column, (rate, key, _, _) in enumerate(columns, 1):
        values = [found[rate].get(key) for _, found in rows[1:]]
        best = max((value for value in values if value is not None), default=None)
        strong |= {(r, column) for r, value in enumerate(values, 1)
                   if value is not None and value == best}
    return Table(title, (names, *(heading for _, _, heading, _ in columns)), tuple(
        (name, *(figure(found[rate].get(key), digits) for rate, key, _, digits in columns))
        for name, found in rows),
        (('', 1), *((f'{rate} mm/hr', len(MEASURES)) for rate in rates)), frozenset(strong), note)


def gain_line(name: str, rates: Iterable[tuple[str, float | None, float | None]],
              dashed: bool = False) -> Line:
    """Return a line of what is gained by rain rate, of (mm/hr, after, before) each, if finite."""
    gains = ((float(rate), difference(after, before)) for rate, after, before in rates)
    return Line(name, tuple((rate, gain) for rate, gain in gains
                            if gain is not None and math.isfinite(gain)), dashed)


def gain_chart(title: str, unit: str, lines: Iterable[Line]) -> Chart:
    """Return the chart of these lines."""
    return Chart(f'{title} gained over the rainy image', 'rain, mm/hr', f'{title}, {unit}',
                 tuple(lines))
