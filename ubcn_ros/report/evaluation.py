# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: what `ubcn evaluate --json` wrote, with pictures where asked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ubcn_ros import __version__
from ubcn_ros.evaluation.report import left_out_text
from ubcn_ros.json_files import as_written
from ubcn_ros.report.charts import Chart, Line, number
from ubcn_ros.report.page import Report, Table, Tile
from ubcn_ros.text_table import counted

_COMMAND = 'ubcn evaluate --json'
_KEYS = {'command', 'data', 'model', 'iterations', 'device', 'precision', 'processing_size'}
_DATA = ('name', 'path', 'split', 'only', 'stride', 'count', 'images')
_RAIN = ('rain', 'rain_rates_mm_h')


class _Score(NamedTuple):
    """A figure of steps: its key, and that of T = 0, the input as it is."""

    key: str
    title: str
    unit: str


_PSNR, _MIOU = _Score('psnr', 'PSNR', 'dB'), _Score('miou', 'mIoU', '%')


class Evaluation:
    """
    What an evaluation measured, by size of the images.

    :raises ValueError: the file is not one of `ubcn evaluate`, or of a version that says less.
    :raises OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            said = json.loads(path.read_text('utf-8'))
        except ValueError as error:
            raise ValueError(f'{path} is not JSON: {error}') from error
        if not isinstance(said, dict) or not _KEYS <= said.keys():
            raise ValueError(f'{path} is not what `{_COMMAND}` writes: give that, or a processed '
                             'bag')
        self.path, self.said = path, said
        with as_written(path, _COMMAND):
            self.sizes: dict[str, dict[str, Any]] = said.get('sizes') or {'': said}
            self.iterations: int = said['iterations']
            self.labelled = 'rates' in next(iter(self.sizes.values()))
            for key in (*_DATA, *(_RAIN if self.labelled else ())):
                _ = said['data'][key]  # or it is told now

    @property
    def heaviest(self) -> str:
        """Key of the highest rain rate; '' of pairs."""
        return max(self.rates(next(iter(self.sizes))), key=lambda rate: float(rate or 0))

    def rates(self, size: str) -> dict[str, dict[str, Any]]:
        """Return the results of a size by rain rate; of pairs, which have no rate, one by ''."""
        results = self.sizes[size]
        return results['rates'] if self.labelled else {'': results}

    def values(self, entry: Mapping[str, Any], score: _Score) -> list[float]:
        """Return a figure at T = 0, 1, ...; NaN where no image has it at all of them."""
        if score is _PSNR and entry.get('psnr_left_out') == self.said['data']['count']:
            return [math.nan] * (1 + len(entry['steps']))
        before = entry['input']['psnr'] if score is _PSNR else \
            entry['segmentation']['own']['miou']
        return [_value(v, score) for v in (before, *(s[score.key] for s in entry['steps']))]


def evaluation_report(evaluation: Evaluation) -> Report:
    """
    Make the report of an evaluation; `add_pictures` adds frames to it.

    :raises ValueError: a figure is missing.
    """
    with as_written(evaluation.path, _COMMAND):
        return _report(evaluation)


def _report(evaluation: Evaluation) -> Report:
    said = evaluation.said
    images = f'{counted(said["data"]["count"], "image")} of {said["data"]["name"]}'
    report = Report(f'{said["model"]["name"]} on {said["data"]["name"]}',
                    f'{images}; {said["precision"]} on {said["device"]}')
    report.tiles = _tiles(evaluation)
    for size in evaluation.sizes:
        where = f', {size}' if size else ''
        report.charts.append((f'Quality and latency{where}', [
            *_against_t(evaluation, size), *_against_rate(evaluation, size),
            *_latency(evaluation, size)]))
    if len(evaluation.sizes) > 1:
        report.charts.append(('Scale', _against_scale(evaluation)))
    report.tables = [*_tables(evaluation)]
    report.not_measured = [*_missing(evaluation)]
    report.facts = _facts(evaluation)
    return report


def _tiles(evaluation: Evaluation) -> list[Tile]:
    rate, last = evaluation.heaviest, evaluation.iterations
    size = [*evaluation.sizes][-1]
    entry = evaluation.rates(size)[rate]
    where = f'at {rate} mm/hr' if rate else 'of the pairs'
    where += f', {size}' if size else ''
    step = entry['steps'][-1]
    error = number(step.get('ece'), True)
    delay = number(evaluation.sizes[size]['latency_ms'][rate][-1], True)

    def change(score: _Score) -> str:
        values = evaluation.values(entry, score)
        return f'{number(values[0], True)} → {number(values[-1], True)} {score.unit}'

    data = evaluation.said['data']
    left = entry.get('psnr_left_out')
    over = f'; over {data["count"] - left} of {data["count"]} images' if left else ''
    found = [Tile('Images', str(data['count']), data['name']),
             Tile('PSNR', change(_PSNR), f'{where}, input → T = {last}{over}')]
    if evaluation.labelled:
        dry = number(evaluation.sizes[size]['clean']['own']['miou'], True)
        found += [Tile('mIoU', change(_MIOU), f'{where}, not derained → T = {last}'),
                  Tile('mIoU, dry', f'{dry} %', 'of the own segmentation on the images without '
                       'rain'),
                  Tile('Calibration error', f'{error} %', f'{where}, T = {last}')]
    else:
        found.append(Tile('mIoU', None, 'the data have no labels'))
    return [*found, Tile('Latency', f'{delay} ms',
                         f'{where}, T = {last}, on {evaluation.said["device"]}')]


def _against_t(evaluation: Evaluation, size: str) -> Iterator[Chart]:
    for score in (_PSNR, _MIOU) if evaluation.labelled else (_PSNR,):
        lines = [Line(_rate(rate), tuple(enumerate(evaluation.values(entry, score))))
                 for rate, entry in evaluation.rates(size).items()]
        rate = evaluation.heaviest
        lines += [Line(name, tuple((s['t'], _value(s[score.key], score)) for s in steps), True)
                  for name, steps in evaluation.rates(size)[rate]['baselines'].items()]
        note = f'Dashed: other models, {_rate(rate)}.' if len(lines) > len(
            evaluation.rates(size)) and rate else ''
        yield Chart(f'{score.title} and steps', 'T (0: not derained)',
                    f'{score.title}, {score.unit}', tuple(lines), note)


def _against_rate(evaluation: Evaluation, size: str) -> Iterator[Chart]:
    rates = evaluation.rates(size)
    if len(rates) < 2:
        return
    for score in (_PSNR, _MIOU):
        by_rate = {float(rate): evaluation.values(entry, score) for rate, entry in rates.items()}
        lines = [Line('not derained' if t == 0 else f'T = {t}',
                      tuple((rate, values[t]) for rate, values in by_rate.items()), t == 0)
                 for t in range(evaluation.iterations + 1)]
        yield Chart(f'{score.title} and rain', 'rain, mm/hr', f'{score.title}, {score.unit}',
                    tuple(lines))
    entry = rates[evaluation.heaviest]['steps'][-1]
    yield Chart('Accuracy and coverage', 'coverage, % of the pixels above a confidence',
                'right labels among them, %', tuple(
                    Line(_rate(rate), tuple((float(p['coverage']), float(p['accuracy']))
                                            for p in found['steps'][-1]['coverage']))
                    for rate, found in rates.items()), f'At T = {entry["t"]}.')


def _latency(evaluation: Evaluation, size: str) -> list[Chart]:
    latencies = evaluation.sizes[size]['latency_ms']
    found = [Chart('Latency and steps', 'T', 'ms', tuple(
        Line(_rate(rate), tuple(enumerate(map(float, ms), 1))) for rate, ms in latencies.items()))]
    if len(latencies) > 1:
        found.append(Chart('Latency and rain', 'rain, mm/hr', 'ms', tuple(
            Line(f'T = {t + 1}', tuple((float(rate), float(ms[t]))
                                       for rate, ms in latencies.items()))
            for t in range(evaluation.iterations))))
    return found


def _against_scale(evaluation: Evaluation) -> list[Chart]:
    """Draw by size of the images, from few pixels to many, at the last step."""
    sizes = tuple(sorted(evaluation.sizes, key=lambda size: math.prod(map(int, size.split('x')))))

    def lines(value: Callable[[str, str], float]) -> tuple[Line, ...]:
        return tuple(Line(_rate(rate), tuple(
            (float(n), value(size, rate)) for n, size in enumerate(sizes)))
            for rate in evaluation.rates(sizes[0]))

    def at_last(score: _Score) -> tuple[Line, ...]:
        return lines(lambda size, rate: evaluation.values(
            evaluation.rates(size)[rate], score)[-1])

    latency = lines(lambda size, rate: float(evaluation.sizes[size]['latency_ms'][rate][-1]))
    return [Chart(f'{title} and scale', 'size of the images, pixels', unit, found,
                  f'At T = {evaluation.iterations}.', sizes) for title, unit, found in (
                      *((score.title, f'{score.title}, {score.unit}', at_last(score))
                        for score in (_PSNR, _MIOU)), ('Latency', 'ms', latency))]


def _tables(evaluation: Evaluation) -> Iterator[Table]:
    for size, results in evaluation.sizes.items():
        where = f', {size}' if size else ''
        if evaluation.labelled:
            last = {rate: entry['steps'][-1]['iou'] for rate, entry in results['rates'].items()}
            yield Table(f'Classes{where}', f'IoU, %, after T = {evaluation.iterations} steps; '
                        'first the images without rain, not derained.',
                        ('dry', *map(_rate, last)),
                        tuple((name, None, (iou, *(found[name] for found in last.values())))
                              for name, iou in results['clean']['own']['iou'].items()))
        yield Table(f'Derived figures{where}', 'Worked out of what was measured.',
                    ('value', 'unit'), tuple((f['text'], None, (f['value'], f['unit']))
                                             for f in results['figures'].values()), digits=2)


def _missing(evaluation: Evaluation) -> Iterator[str]:
    said = evaluation.said
    for size, results in evaluation.sizes.items():
        where = f', {size}' if size else ''
        yield from (line + where for line in left_out_text(results))
    if len(evaluation.sizes) < 2:
        yield ('Scale: the images were measured at one size; `ubcn evaluate --size`, repeated, '
               'gives others')
    if not evaluation.labelled:
        yield 'mIoU, calibration and rain rates: the data are pairs, with rain of their own'
    elif 'clean' not in next(iter(evaluation.sizes.values()))['clean']:
        yield ('What rain costs at least: --clean-segmentation gives a network that was trained '
               'on images without rain, the bound')
    if said['data'].get('stride', 1) > 1:
        yield f'The images between: every {said["data"]["stride"]}th was taken'
    yield ('Latency of the engine and of the node: what is shown is the network alone, module by '
           'module, the median over the images; `ubcn benchmark engine` and `ubcn benchmark node` '
           'time these')
    if said['device'] == 'cpu':
        yield 'Latency on a GPU'
    if evaluation.labelled:
        yield f'Real rain: it was {said["data"]["rain"]}; there is no ground truth of real rain'
    yield f'More than T = {evaluation.iterations} steps'


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    said = evaluation.said
    return [('command', said['command']), ('file', str(evaluation.path)),
            ('model', said['model']['name']), ('sha256 of the model', said['model']['sha256']),
            *((f'{kind} {name}', entry['sha256']) for kind, group in (
                ('segmentation', 'segmentation_models'), ('other model', 'baseline_models'))
              for name, entry in said.get(group, {}).items()),
            ('data', f'{said["data"]["name"]}, {counted(said["data"]["count"], "image")}'),
            ('device', f'{said["device"]}, {said["precision"]}'),
            ('labelled at', f'a short side of {said["processing_size"]} pixels'
             if said['processing_size'] else 'the size of the image'),
            *((name, version) for name, version in said.get('versions', {}).items()
              if name != 'ubcn_ros'), ('ubcn_ros', __version__)]


def _rate(rate: str) -> str:
    return f'{rate} mm/hr' if rate else 'pairs'


def _value(value: float | None, score: _Score) -> float:
    """Undo what JSON makes of the PSNR of equal images; other figures of null are not known."""
    if value is None:
        return math.inf if score is _PSNR else math.nan
    return float(value)
