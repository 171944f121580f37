# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Show how far many bags are: a table on a terminal, else a line a minute."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ubcn_ros.bags.fleet.status import Status, WorkerRow, status
from ubcn_ros.cli.bag_progress import LINE_S, clock_text
from ubcn_ros.cli.commands import as_line
from ubcn_ros.cli.output import has_cursor
from ubcn_ros.text_table import table

if TYPE_CHECKING:
    from ubcn_ros.bags.fleet import Fleet

_TABLE_S = 2.0  # as often as workers write how far they are
_HEADER = ('bag', 'piece', 'worker', 'images', 'per second', 'left', '')


class FleetTable:
    """
    Called with a fleet about once a second; a context manager.

    :param root: of the outputs, which are named from there.
    :param clock: seconds, as `time.monotonic`.
    :param terminal: whether to show a table; None finds out.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic,
                 terminal: bool | None = None):
        self._root, self._clock = root.absolute(), clock
        self._terminal = has_cursor() if terminal is None else terminal
        self._begun = self._shown = clock()
        self._lines: list[str] = []

    def __enter__(self) -> FleetTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._draw([])

    def __call__(self, fleet: Fleet) -> None:
        """Show it, if it is time to."""
        now = self._clock()
        if now - self._shown < (_TABLE_S if self._terminal else LINE_S):
            return
        self._shown = now
        found = status(fleet, self._begun, now)
        if self._terminal:
            from tqdm.utils import disp_trim  # which knows of letters that are two columns wide
            width, height = shutil.get_terminal_size()
            self._draw([disp_trim(line, width - 1) for line in self.lines(found, height - 5)])
        else:
            click.echo(total_text(found), err=True)

    def tell(self, line: str) -> None:
        """Print a line above the table."""
        lines = self._lines
        self._draw([])
        click.echo(as_line(line), err=True)
        self._draw(lines)

    def lines(self, found: Status, most: int) -> list[str]:
        """Lay the table out, with so many workers at most."""
        rows = found.rows[:max(most, 1)]
        left = len(found.rows) - len(rows)
        text = table(_HEADER, [self._cells(row) for row in rows], (0, 1, 2, 6)) if rows else ''
        return [*text.splitlines(), *[f'and {left} more workers'] * bool(left), total_text(found)]

    def _cells(self, row: WorkerRow) -> tuple[str, ...]:
        number = str(row.frames) if row.piece else ''
        return (os.path.relpath(row.bag, self._root.parent), row.piece, row.worker, number,
                '' if row.rate is None else f'{row.rate:.1f}',
                '' if row.left_s is None else clock_text(row.left_s), row.state)

    def _draw(self, lines: list[str]) -> None:
        """Put lines in the place of those that there are."""
        if not self._terminal:
            return
        up = f'\x1b[{len(self._lines)}A\r\x1b[J' if self._lines else ''
        click.echo(up + ''.join(line + '\n' for line in lines), nl=False, err=True, color=True)
        self._lines = lines


def total_text(found: Status) -> str:
    """Say in one line how far all is."""
    bags = found.bags
    failed = f', {bags["failed"]} failed' if bags['failed'] else ''
    left = '' if found.left_s is None else f', {clock_text(found.left_s)} left'
    return (f'{bags["finished"]} of {bags.total()} bags{failed}; {len(found.rows)} workers busy, '
            f'{found.pieces} pieces wait; {found.frames} images, {found.share:.0%}, '
            f'{found.rate:.1f} per second{left}')
