# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""results.csv: the figures of every validation of a run."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from ubcn_ros.whole_files import write_whole

_FIRST = ('stage', 'step', 'loss')


class ResultsTable:
    """
    A table with one row a validation: stage, step, loss and figures; empty where not measured.

    :param path: of the file; the first row makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, stage: str, step: int, loss: float, figures: dict[str, float]) -> None:
        """Add a row."""
        row = {'stage': stage, 'step': step, 'loss': f'{loss:.6g}',
               **{name: f'{value:.4f}' for name, value in figures.items()}}
        self._write([*self._rows(), row])

    def forget(self, stage: str, after: int = 0) -> None:
        """Drop the rows of a stage after a step: of a run that was killed, or is overwritten."""
        rows = self._rows()
        kept = [row for row in rows if row['stage'] != stage or int(row['step']) <= after]
        if kept != rows:
            self._write(kept)

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        try:
            with open(self.path, newline='', encoding='utf-8') as file:
                table = csv.DictReader(file)
                rows = list(table)
        except (csv.Error, UnicodeDecodeError):
            ours = False
        else:
            ours = tuple(table.fieldnames or _FIRST)[:len(_FIRST)] == _FIRST and all(
                row['stage'] and str(row['step']).isdecimal() for row in rows)
        if not ours:
            raise ValueError(f'{self.path} is not the table of a training run: remove it, or '
                             'choose another output folder')
        return rows

    def _write(self, rows: list[dict]) -> None:
        columns = dict.fromkeys((*_FIRST, *(name for row in rows for name in row)))
        text = io.StringIO(newline='')
        table = csv.DictWriter(text, list(columns), restval='', lineterminator='\n')
        table.writeheader()
        table.writerows(rows)
        write_whole(self.path, text.getvalue().encode())


def is_better(quality: float, best: float) -> bool:
    """Return whether a figure is higher than the best: of equals the first is, NaN never."""
    return quality > best or (math.isnan(best) and not math.isnan(quality))
