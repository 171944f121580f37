# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Table 4 of the paper, with memory, PSNR, SSIM and mIoU beside its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ubcn_ros.study.comparison import UBCN, baselines_statements
from ubcn_ros.study.measured import HEADER, cells
from ubcn_ros.study.paper import SECONDS, TABLE_4, TABLE_4_UBCN
from ubcn_ros.study.parameters import megabytes
from ubcn_ros.study.statements import statements_text
from ubcn_ros.study.times import time_cells, time_header, timed_rows
from ubcn_ros.text_table import table


def baselines_text(results: Mapping[str, Any]) -> str:
    """
    Lay out all that a study has found: a table for each budget, then what holds.

    'MB' counts 4 bytes a parameter, of RCDNet those of the published file; 'file MB' is the size
    of a checkpoint. The paper's fit 'file MB' for JORDER-E and RCDNet, and 'MB' for the others.

    :param results: of ``BaselineStudy``.
    """
    rates = ' / '.join(results['input'])
    times = results['times']
    timed = dict.fromkeys(name for rows in timed_rows(times).values() for name in rows)
    header = ('method', 'MB', 'file MB', "paper's", *time_header(times), "paper's s", 'steps',
              'samples', *HEADER)

    def line(name: str, size: Sequence[str] = ('', '', ''), run: tuple[str, str] = ('', ''),
             quality: Sequence[str] = ('', '', '')) -> list[str]:
        return [name, *size, *time_cells(times, name), _paper_time(name), *run, *quality]

    parts = []
    for budget, rows in results['trained'].items():
        lines = [line('rainy image', quality=cells(results['input']))]
        for name, row in rows.items():
            run = (' + '.join(map(str, row['optimizer_steps'].values())), str(row['samples']))
            lines += _lines(line, name, row, run, name == UBCN)
        if results['model']:
            lines += _lines(line, results['model']['name'], results['model'], ('as it is', ''),
                            True)
        lines += [line(name) for name in timed if name not in rows]
        parts.append(f'for the same {budget} as IDM, at {rates} mm/hr\n{table(header, lines)}')
    return '\n\n'.join([*parts, statements_text(baselines_statements(results))])


def _lines(line: Callable[..., list[str]], name: str, row: Mapping[str, Any],
           run: tuple[str, str], whole: bool) -> list[list[str]]:
    """Lines of a row: one, or for a whole loop one for each step."""
    if 'steps' not in row:
        return [line(name, _size(name, row), run, ('diverged', '', ''))]
    return [line(f'{name}, T = {t}' if whole else name, _size(name, row), run, cells(rates))
            for t, rates in enumerate(row['steps'], 1)]


def _paper_time(name: str) -> str:
    return f'{SECONDS[name]:.2f}' if name in SECONDS else ''


def _size(name: str, row: Mapping[str, Any]) -> tuple[str, str, str]:
    sizes = row.get('parameters', {})
    paper = f'{TABLE_4[name][0]:.2f}' if name in TABLE_4 else ''
    file = f'{row["checkpoint_mb"]:.2f}' if 'checkpoint_mb' in row else ''
    return megabytes(sizes), file, TABLE_4_UBCN[0] if len(sizes) > 1 else paper
