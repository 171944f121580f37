# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's own setting and lighter ones: whole models by rain rate and step, size and time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ubcn_ros.report.charts import Chart, figure
from ubcn_ros.study.measured import difference, mean
from ubcn_ros.study.paper import TABLE_4_UBCN
from ubcn_ros.study.parameters import WHOLE, megabytes
from ubcn_ros.study.report.content import (
    NO_GPU_TIMES,
    Charts,
    Section,
    Table,
    gain_chart,
    gain_line,
    quality_table,
)
from ubcn_ros.study.report.sources import FoundStudy
from ubcn_ros.study.statements import Statement, all_gain, listing
from ubcn_ros.study.times import timed_rows

_PSPNET = 'pspnet_resnet50'  # that table 4's size of UBCN's fits
_SIZES = "UBCN's parts have the sizes of table 4"
_BYTES = {'MB': 1e6, 'MiB': 2 ** 20}
_CLOSE = 0.02  # share of the paper's figure
_NAME = 20  # characters

Results = Mapping[str, Any]


def networks_sections(found: FoundStudy) -> Iterator[Section]:
    """Show whole models side by side."""
    results, section = found.results, found.section()
    times = timed_rows(results['times'])
    section.blocks = [_sizes_and_times(results, times), _quality(results), Charts((
        _gains(results, 'psnr', 'PSNR', 'dB'), _gains(results, 'miou', 'mIoU', 'points')))]
    section.statements = _statements(results)
    section.opinions = [*_opinions(results, section.statements)]
    if not any(row['segmentation'] == _PSPNET for row in results['networks'].values()):
        section.missing.append(("A model of the paper's own setting, to be measured with the "
                                'others', 'ubcn train paper --data FOLDER'))
    if len(results['networks']) < 2:
        section.missing.append(('A second model to compare with: the same command with one more '
                                '--model', results['command']))
    if not any(where.startswith('cuda') for where in times):
        section.missing.append((NO_GPU_TIMES, results['command']))
    yield section


def _sizes_and_times(results: Results, times: Mapping[str, Any]) -> Table:
    rows = []
    for name, row in results['networks'].items():
        last = f'{name}, T = {len(row["steps"])}'
        cells = []
        for found in times.values():
            timed = found.get(last, {})
            cells += [figure(timed.get('ms') and timed['ms'] / 1e3, 3),
                      figure(timed.get('peak_mib'), 0)]
        rows.append((name, row['segmentation'], megabytes(row['parameters']), *cells))
    columns = ('model', 'segmentation network', 'MB: IDM + SAM + segmentation',
               *('s', 'MiB') * len(times))
    return Table(
        'Size, and time of one image', columns, tuple(rows),
        (('', 3), *((where, 2) for where in times)) if times else (),
        note=f"The paper's table 4: {TABLE_4_UBCN[0]} MB, which fit MiB of 1.05 MB, and "
             f'{TABLE_4_UBCN[1]:.2f} s at T = 3 and 2048x1024 on an RTX 2080 Ti.')


def _quality(results: Results) -> Table:
    listed = [('rainy image', results['input'])]
    for name, row in results['networks'].items():
        listed.append((f'{name}, not derained', {rate: {'miou': miou}
                                                 for rate, miou in row['alone'].items()}))
        listed += [(f'{name}, T = {t}', step) for t, step in enumerate(row['steps'], 1)]
    return quality_table('Quality at every step', [*results['input']], listed, 'model')


def _gains(results: Results, name: str, title: str, unit: str) -> Chart:
    """Draw by rain rate what the last step of every model gains over the rainy image."""
    def before(row: Mapping[str, Any], rate: str) -> float | None:
        return row['alone'][rate] if name == 'miou' else results['input'][rate][name]

    return gain_chart(title, unit, (
        gain_line(_short(model), ((rate, figures[name], before(row, rate))
                                  for rate, figures in row['steps'][-1].items()))
        for model, row in results['networks'].items()))


def _short(name: str) -> str:
    """Cut a name to what has room beside a chart."""
    return name if len(name) <= _NAME else f'{name[:_NAME - 1]}…'


def _statements(results: Results) -> list[Statement]:
    """State what was found of table 4's sizes, and of what the loop gains."""
    networks = results['networks'].items()
    sizes = [_size_statement(name, row['parameters']) for name, row in networks
             if row['segmentation'] == _PSPNET]
    return [*(sizes or [Statement(_SIZES, None, f'needs a model with {_PSPNET}')]),
            *(_loop_statement(name, row['steps']) for name, row in networks
              if len(row['steps']) > 1)]


def _size_statement(name: str, counts: Mapping[str, int]) -> Statement:
    """State whether the parts of a model have table 4's sizes, in MB or in MiB."""
    parts, holds = [], True
    for part, paper in zip(WHOLE, re.findall(r'[\d.]+', TABLE_4_UBCN[0]), strict=True):
        ours = {unit: 4 * counts[part] / size for unit, size in _BYTES.items()}
        close = [f'{figure(value, 2)} {unit}' for unit, value in ours.items()
                 if abs(value - float(paper)) < _CLOSE * float(paper)]
        holds &= bool(close)
        parts.append(f'{part} ' + (close[0] if close else '{} MB ({} MiB)'.format(
            *(figure(value, 2) for value in ours.values()))) + f' against {paper}')
    return Statement(f'{_SIZES} ({name})', holds, listing(parts))


def _loop_statement(name: str, steps: Sequence[Mapping[str, Any]]) -> Statement:
    """State whether the last step of a model is better than its first, in rain."""
    first, last, t = steps[0], steps[-1], len(steps)
    gains = {rate: [difference(last[rate][key], first[rate][key]) for key in ('psnr', 'miou')]
             for rate in first if float(rate)}
    holds = all_gain(gain for pair in gains.values() for gain in pair)
    found = []
    for rate, pair in gains.items():
        known = [f'{figure(gain, digits, True)} {unit}' for gain, digits, unit in zip(
            pair, (2, 1), ('dB', 'points of mIoU'), strict=True) if gain is not None]
        if known:
            found.append(f'{listing(known)} at {rate} mm/hr')
    parts = [', '.join(found)] if found else []
    if holds is None:
        parts.append('needs a rain rate, and PSNR and mIoU at each')
    return Statement(f'Step {t} derains and labels better than step 1, in rain ({name})', holds,
                     '; '.join(parts))


def _opinions(results: Results, statements: Sequence[Statement]) -> Iterator[str]:
    if any(s.text.startswith("UBCN's parts") and s.holds is False for s in statements):
        yield ("The paper's tables disagree: IDM's 11 blocks of 32 channels of table 1 "
               'are 0.90 MB, the 13.40 of table 4 fit 92 channels and 22 blocks. We build what '
               'table 1 says, and the other one as the preset wide. SAM as in table 3, with one '
               'set of weights for all paths, is 0.72 MiB; the 0.40 of table 4 fit one '
               'convolution in each RES.')
    if any(s.text.startswith('Step') and s.holds is False for s in statements):
        yield ('Where a further step loses, the first one may have left little to do, or may '
               'have been trained for longer than SAM was on its outputs.')
    networks = results['networks']
    heavy = next((name for name, row in networks.items() if row['segmentation'] == _PSPNET), None)
    for name, row in networks.items():
        if heavy is None or row['segmentation'] == _PSPNET:
            continue
        sizes = [networks[each]['parameters']['segmentation'] for each in (heavy, name)]
        if sizes[1] >= sizes[0]:
            continue
        change = mean([difference(*(each['steps'][-1][rate]['miou']
                                    for each in (row, networks[heavy])))
                       for rate in results['input']])
        if change is not None:
            yield (f'A lighter segmentation network is what the paper names as future work: that '
                   f'of {name} has {figure(100 * sizes[1] / sizes[0])} % of the parameters of '
                   f"{heavy}'s, and its mIoU is {figure(change, 1, True)} points on average over "
                   'the rates. ' + (
                       'We think it is the better choice for a vehicle.' if change > -1 else
                       'We think that its size is paid for with mIoU here.'))
