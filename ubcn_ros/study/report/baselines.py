# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Table 4: the paper's sizes and times beside ours, and the quality that it does not have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from ubcn_ros.report.charts import Chart, figure
from ubcn_ros.study.comparison import (
    FASTER,
    IDM,
    MAY_BE_FASTER,
    UBCN,
    as_fast_as_ubcn,
    as_good_as_ubcn,
    margins,
    not_timed_beside,
)
from ubcn_ros.study.paper import SECONDS, TABLE_4, TABLE_4_UBCN
from ubcn_ros.study.parameters import megabytes
from ubcn_ros.study.report.content import (
    SEEN_RAIN,
    Charts,
    Section,
    Statement,
    Table,
    gain_chart,
    gain_line,
    listing,
    quality_table,
    residue_statement,
    timed_rows,
)
from ubcn_ros.study.report.sources import Found, without

_LAST_DIGIT = 0.01  # MB, of the paper's, which are rounded or cut
_BUDGETS = {'samples': 'for as many samples', 'time': 'for as much time'}

Results = Mapping[str, Any]
Rates = Mapping[str, Mapping[str, float | None]]


def baselines_section(found: Found, key: str) -> Section:
    """Show sizes, times and quality; raises KeyError of a file of another layout."""
    results, kind = found.results, found.kind
    section = Section(key, kind.title, kind.paper, kind.lead, facts=found.facts())
    times = timed_rows(results['times'])
    section.blocks.append(_sizes_and_times(results, times))
    for budget, rows in results['trained'].items():
        listed = _listed(results, rows)
        section.blocks += [_quality(budget, rows, listed), Charts((
            _gains(results, rows, 'psnr', 'PSNR', 'dB'),
            _gains(results, rows, 'miou', 'mIoU', 'points')))]
    section.statements = [_size_statement(results), *_order_statements(times),
                          *_residue_statements(results), *_targets(results)]
    section.opinions = [*_opinions(section.statements)]
    section.missing = [*_missing(results, times)]
    return section


def _sizes(results: Results) -> dict[str, Mapping[str, Any]]:
    """Rows with the parameters, and the size of a checkpoint, of everything that was trained."""
    return {name: row for rows in results['trained'].values() for name, row in rows.items()
            if 'parameters' in row}


def _sizes_and_times(results: Results, times: Mapping[str, Any]) -> Table:
    """Lay out the paper's columns beside ours, and times as multiples of DDN's."""
    sizes = _sizes(results)
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
                 note='MB are of what was trained here. Seconds of different machines do not '
                      f'compare, multiples of the time of {MAY_BE_FASTER} do.')


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
    diverged = [name for name, row in rows.items() if 'error' in row]
    return quality_table(
        f'Quality, trained {_BUDGETS.get(budget, budget)} as IDM', [*listed[0][1]], listed,
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


def _size_statement(results: Results) -> Statement:
    text, sizes = 'The networks have the sizes of table 4', _sizes(results)
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
        f'{len(known) - len(other)} of {len(known)} within {_LAST_DIGIT:g} MB: ' + '; '.join(
            f'{listing(names)} by {what}' for what, names in fitting.items()),
        details=tuple(other))


def _order_statements(times: Mapping[str, Any]) -> Iterator[Statement]:
    """Yield for each device whether what is slower in the paper is slower here."""
    text, said = 'What is slower in table 4 is slower here', False
    for where, rows in times.items():
        ours = {name: row['ms'] / 1e3 for name, row in rows.items() if name in SECONDS}
        pairs = [sorted(pair, key=SECONDS.get) for pair in combinations(ours, 2)]
        other = [f'{slow} ({figure(ours[slow], 3)} s) before {fast} ({figure(ours[fast], 3)} s)'
                 for fast, slow in pairs if ours[slow] < ours[fast]]
        if pairs:
            said = True
            yield Statement(
                f'{text} ({where})', False if other else len(ours) == len(SECONDS) or None,
                f'{len(pairs) - len(other)} of {len(pairs)} pairs are in the same order'
                + (f'; the other way round: {listing(other)}' if other else ''))
    if not said:
        yield Statement(text, None, 'no two of its methods were timed')


def _residue_statements(results: Results) -> Iterator[Statement]:
    """Yield whether UBCN's lead over the others grows with the rain, for each budget."""
    for budget, rows in results['trained'].items():
        ahead = margins(results, budget)
        psnr = ahead['psnr']
        rates = sorted(psnr, key=float)
        light, heavy = (psnr[rates[0]], psnr[rates[-1]]) if len(rates) > 1 else (None, None)
        yield residue_statement(
            f'trained {_BUDGETS.get(budget, budget)}', light, heavy,
            'ahead of the best of them by ' + listing([
                f'{figure(psnr[rate], 2, True)} dB and '
                f'{figure(ahead["miou"].get(rate), 1, True)} points of mIoU at {rate} mm/hr'
                for rate in rates]),
            [name for name in TABLE_4 if 'steps' not in rows.get(name, ())])


def _targets(results: Results) -> Iterator[Statement]:
    """Yield this project's targets: UBCN better than every baseline, faster than all but one."""
    t = results['settings']['iterations']
    for budget, rows in results['trained'].items():
        text = (f'UBCN at T = {t} is better than every baseline in PSNR, and in mIoU after it '
                f'(trained {_BUDGETS.get(budget, budget)})')
        leads = as_good_as_ubcn(results, budget)
        known = sum(name in TABLE_4 and 'steps' in row for name, row in rows.items())
        if leads is None or not known:
            yield Statement(text, None, 'UBCN or the baselines are not trained yet', target=True)
            continue
        against = [str(lead) for lead in leads if lead.network != IDM]
        alone = [str(lead) for lead in leads if lead.network == IDM and lead.by]
        beaten = {lead.network for lead in leads if lead.network != IDM and lead.by}
        equal = {lead.network for lead in leads if lead.network != IDM} - beaten
        found = '; '.join(f'{how} by {listing(sorted(names))}' for how, names in (
            ('beaten', beaten), ('equalled', equal)) if names) or f'it beats all {known} of them'
        if alone:
            found += f'; {IDM} alone, in the whole budget, beats it'
        yield Statement(text, False if against else known == len(TABLE_4) or None, found,
                        target=True, details=(*against, *alone))
    leads = as_fast_as_ubcn(results)
    slower = [str(lead) for lead in leads or () if lead.network != MAY_BE_FASTER]
    untimed = not_timed_beside(results)
    yield Statement(
        FASTER.format(t),
        False if slower else None if leads is None or untimed else True,
        'not timed' if leads is None else f'not faster than {len(slower)} of them' if slower else
        'than those that were timed' + (f', not yet {listing(untimed)} on every device'
                                        if untimed else ''),
        target=True, details=tuple(slower))


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
    same, begun = without(results['command'], 'budget'), results['settings']['recipes']
    command, known = without(same, 'baseline'), [name for name in TABLE_4 if name in begun]
    absent = [name for name in (*TABLE_4, UBCN) if name not in begun]
    # without the option all of table 4 are asked for, which the recipe may not have
    all_known = command + ''.join(f' --baseline {name}' for name in known) * bool(absent)
    for budget, words in _BUDGETS.items():
        rows = results['trained'].get(budget, {})
        left = [name for name in (*TABLE_4, UBCN) if name in begun and name not in rows]
        if left:
            yield f'Trained {words}: {listing(left)}', all_known
    if absent:
        yield (f'{listing(absent)}, which the recipe of this study lacks: another recipe and '
               '--out', f'{without(command, "recipe", "out")} --recipe RECIPE --out OUT')
    if not any(where.startswith('cuda') for where in times):
        yield ('Times and memory on a GPU: this on a machine that has one',
               without(all_known, 'frames'))
