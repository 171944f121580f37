# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Table 4: the paper's sizes and times beside ours, and the quality that it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ubcn_ros.report.charts import Chart, figure
from ubcn_ros.study.comparison import (
    BUDGETS,
    IDM,
    MAY_BE_FASTER,
    UBCN,
    baselines_statements,
    trained_sizes,
)
from ubcn_ros.study.paper import SECONDS, TABLE_4, TABLE_4_UBCN
from ubcn_ros.study.parameters import megabytes
from ubcn_ros.study.report.content import (
    NO_GPU_TIMES,
    SEEN_RAIN,
    Charts,
    Section,
    Table,
    gain_chart,
    gain_line,
    quality_table,
)
from ubcn_ros.study.report.sources import FoundStudy
from ubcn_ros.study.statements import Statement, listing
from ubcn_ros.study.times import timed_rows

Results = Mapping[str, Any]
Rates = Mapping[str, Mapping[str, float | None]]


def baselines_sections(found: FoundStudy) -> Iterator[Section]:
    """Show sizes, times and quality."""
    results, section = found.results, found.section()
    times = timed_rows(results['times'])
    section.blocks.append(_sizes_and_times(results, times))
    for budget, rows in results['trained'].items():
        listed = _listed(results, rows)
        section.blocks += [_quality(budget, rows, listed), Charts((
            _gains(results, rows, 'psnr', 'PSNR', 'dB'),
            _gains(results, rows, 'miou', 'mIoU', 'points')))]
    section.statements = baselines_statements(results)
    section.opinions = [*_opinions(section.statements)]
    section.missing = [*_missing(results, times)]
    yield section


def _sizes_and_times(results: Results, times: Mapping[str, Any]) -> Table:
    """Lay out the paper's columns beside ours, and times as multiples of DDN's."""
    sizes = trained_sizes(results)
    timed = dict.fromkeys(name for rows in times.values() for name in rows)
    rows = []
    for name in dict.fromkeys((*TABLE_4, *timed, *sizes)):
        mb = f'{TABLE_4[name][0]:.2f}' if name in TABLE_4 else \
            TABLE_4_UBCN[0] if _preset(name) == 'paper' else '–'
        seconds = SECONDS.get(name)
        row = sizes.get(name, {})
        cells = [mb, megabytes(row['parameters']) if row else '–',
                 figure(row.get('checkpoint_mb'), 2), figure(seconds, 2),
                 figure(seconds and seconds / TABLE_4[MAY_BE_FASTER][1])]
        for found in times.values():
            ms, first = (found.get(each, {}).get('ms') for each in (name, MAY_BE_FASTER))
            cells += [figure(ms and ms / 1e3, 3), figure(ms and first and ms / first),
                      figure(found.get(name, {}).get('peak_mib'), 0)]
        rows.append((f'UBCN {name}' if _preset(name) else name, *cells))
    multiples = f'× {MAY_BE_FASTER}'
    columns = ('method', "paper's", '4 bytes a parameter', 'checkpoint', 's', multiples,
               *('s', multiples, 'MiB') * len(times))
    groups = (('', 1), ('MB', 3), ("paper's, RTX 2080 Ti", 2), *((where, 3) for where in times))
    return Table('Size and time of one image', columns, tuple(rows), groups,
                 note="MB are of what was trained here; the paper's of UBCN fit MiB, of 1.05 MB. "
                      'Seconds of different machines do not compare, '
                      f'multiples of the time of {MAY_BE_FASTER} do.')


def _preset(name: str) -> str:
    """Preset of UBCN of a timed row such as 'paper, T = 3'; '' of a baseline."""
    return name.split(',')[0] if ', T = ' in name else ''


def _listed(results: Results, rows: Mapping[str, Any]) -> list[tuple[str, Rates]]:
    """All that has figures by rain rate: the rainy image first, the last step of a loop."""
    listed = [('rainy image', results['input'])]
    for name, row in rows.items():
        if 'steps' in row:
            listed.append((f'UBCN, T = {len(row["steps"])}' if name == UBCN else name,
                           row['steps'][-1]))
    if results['model']:
        listed.append((f'{results["model"]["name"]} as it is', results['model']['steps'][-1]))
    return listed


def _quality(budget: str, rows: Mapping[str, Any], listed: list[tuple[str, Rates]]) -> Table:
    diverged = [name for name, row in rows.items() if row.get('error')]
    return quality_table(
        f'Quality, trained {BUDGETS.get(budget, budget)} as IDM', [*listed[0][1]], listed,
        note=(f'Diverged: {listing(diverged)}. ' if diverged else '')
        + 'mIoU is of one segmentation network after all of them. What is as it is had a '
          'training of its own.')


def _gains(results: Results, rows: Mapping[str, Any], name: str, title: str, unit: str) -> Chart:
    """Draw by rain rate what each method gains over the rainy image: UBCN first, IDM dashed."""
    trained = {row: entry['steps'][-1] for row, entry in rows.items() if 'steps' in entry}
    return gain_chart(title, unit, (
        gain_line(row, ((rate, figures[name], results['input'][rate][name])
                        for rate, figures in trained[row].items()), row == IDM)
        for row in sorted(trained, key=lambda row: (row == IDM, row != UBCN))))


def _opinions(statements: list[Statement]) -> Iterator[str]:
    if any(s.text.startswith('What is slower') and s.holds is False for s in statements):
        yield ('Times depend on the machine and on how convolutions of few channels are run: the '
               "paper's are of one GPU of 2018 and of the authors' programs, ours of one program "
               'for all.')
    better = [s for s in statements if s.target and 'better' in s.text]
    if any('beaten by' in s.found for s in better):
        yield ('A baseline that is ahead learns faster on this rain, or does more arithmetic for '
               'a pixel: the budgets here are of samples and of time, short ones, and a loop '
               'shares its own between two networks.')
    if any(f'{IDM} alone' in s.found for s in better):
        yield ('IDM alone in the whole budget is ahead of the loop: at this length of training '
               'the first network has not learned all that it can, and SAM comes too early.')
    if any(s.text.startswith('Others do well') and s.holds is False for s in statements):
        yield SEEN_RAIN


def _missing(results: Results, times: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    command, begun = results['command'], results['settings']['recipes']
    for budget, words in BUDGETS.items():
        rows = results['trained'].get(budget, {})
        left = [name for name in (*TABLE_4, UBCN) if name in begun and name not in rows]
        if left:
            yield (f'Trained {words}, {listing(left)}: this command, unless its --baseline or '
                   '--budget leaves them out', command)
    absent = [name for name in (*TABLE_4, UBCN) if name not in begun]
    if absent:
        yield (f'{listing(absent)}, which the recipe of this study lacks: this command with '
               'another --recipe and --out', command)
    if not any(where.startswith('cuda') for where in times):
        yield NO_GPU_TIMES, command
