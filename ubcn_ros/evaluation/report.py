# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results as tables on the terminal and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ubcn_ros.evaluation.metrics import Metric
from ubcn_ros.images.fonts import in_matplotlib
from ubcn_ros.images.plots import save_plot
from ubcn_ros.text_table import counted, fixed, table

_SEGMENTATION = {'own': 'not derained, own segmentation',
                 'clean': 'not derained, segmentation trained on clean images',
                 'rain': 'not derained, segmentation trained on rain'}


def scene_text(results: dict[str, Any], metrics: Sequence[Metric]) -> str:
    """Tabulate the summary per rate, IoU per class and the metrics."""
    rows = [['clean', _SEGMENTATION[name], '', '', fixed(score['miou'])]
            for name, score in results['clean'].items()]
    for rate, entry in results['rates'].items():
        own = entry['segmentation']['own']
        rows.append([rate, _SEGMENTATION['own'], *_image(entry['input']), fixed(own['miou'])])
        rows += [['', _SEGMENTATION[name], '', '', fixed(score['miou'])]
                 for name, score in entry['segmentation'].items() if name != 'own']
        rows += [['', f'T = {step["t"]}', *_step(step)] for step in entry['steps']]
        rows += [['', f'{name}, T = {step["t"]}', *_step(step)]
                 for name, steps in entry['baselines'].items() for step in steps]
    parts = [_with_left_out(_table(
        ('rain mm/hr', '', 'PSNR dB', 'SSIM', 'mIoU %', 'ECE %', 'steps run'), rows,
        left=(0, 1)), results)]
    last = {rate: entry['steps'][-1] for rate, entry in results['rates'].items()}
    clean = results['clean']['own']['iou']
    steps = next(iter(last.values()))['t']
    parts.append(f'IoU % per class, T = {steps} (first column: clean, not derained)\n' + table(
        ('class', 'clean', *last),
        [[name, fixed(iou), *(fixed(step['iou'][name]) for step in last.values())]
         for name, iou in clean.items()]))
    if rains := {rate: entry['rain'] for rate, entry in results['rates'].items()
                 if 'rain' in entry}:
        parts.append(_rain_text(rains))
    return '\n\n'.join([*parts, metric_text(metrics)])


def left_out_text(results: dict[str, Any]) -> list[str]:
    """
    Say of which images there is no PSNR beside the others, a line for each rain.

    :param results: of ``measure_scenes`` or ``measure_pairs``.
    """
    rates = {f' in {rate} mm/hr': entry for rate, entry in results['rates'].items()} \
        if 'rates' in results else {'': results}
    return [f'PSNR{where}: without {counted(left, "image")} of which the input or an output '
            'equals the clean one' for where, entry in rates.items()
            if (left := entry.get('psnr_left_out'))]


def _rain_text(rains: dict[str, dict[str, Any]]) -> str:
    return 'estimated rain, medians over the images\n' + table(
        ('rain mm/hr', 'estimated mm/hr', 'error %', 'below 2 mm/hr %', 'visibility m',
         'estimated m', 'error %'),
        [[rate, *map(fixed, (rain['rate'], rain['rate_error'], rain['dry'])),
          f'{rain["visibility_truth"]:.0f}', f'{rain["visibility"]:.0f}',
          fixed(rain['visibility_error'])] for rate, rain in rains.items()], left=())


def pair_text(results: dict[str, Any], metrics: Sequence[Metric]) -> str:
    """Tabulate the summary of pairs and the metrics."""
    rows = [['input', *_image(results['input'])]]
    rows += [[f'T = {step["t"]}', *_image(step), *_taken(step)] for step in results['steps']]
    rows += [[f'{name}, T = {step["t"]}', *_image(step), *_taken(step)]
             for name, steps in results['baselines'].items() for step in steps]
    text = _table(('', 'PSNR dB', 'SSIM', 'steps run'), rows)
    return '\n\n'.join([_with_left_out(text, results), metric_text(metrics)])


def metric_text(metrics: Sequence[Metric]) -> str:
    """Tabulate derived metrics."""
    return table(('figure', 'value', 'unit'),
                 [[m.text, f'{m.value:.2f}', m.unit] for m in metrics], left=(0, 2))


def draw(path: Path, title: str, results: dict[str, Any]) -> None:
    """
    Draw PSNR and mIoU against T, T = 0 being the image as it came, and accuracy against coverage.

    There is one line per rain rate; coverage is of the last step. For a model that estimates the
    rain there is one more panel: the estimated rate against the true one.

    :param results: of ``measure_scenes`` or ``measure_pairs``.
    :raises ValueError: the path's suffix is not a picture format.
    """
    from matplotlib.figure import Figure  # not pyplot: no display is touched
    labelled = 'rates' in results
    rains = {float(rate): entry['rain'] for rate, entry in results.get('rates', {}).items()
             if 'rain' in entry}
    count = (4 if rains else 3) if labelled else 1
    figure = Figure(figsize=(5 * count, 4), layout='constrained')
    panels = figure.subplots(1, count, squeeze=False)[0]
    for rate, entry in (results['rates'] if labelled else {'': results}).items():
        _draw_rate(panels, entry, rate and f'{rate} mm/hr')
    if labelled and 'clean' in results['clean']:
        panels[1].axhline(results['clean']['clean']['miou'], color='black', linestyle='--',
                          label='bound: trained and tested on clean images')
    for panel, name in zip(panels, ('PSNR, dB', 'mIoU, %'), strict=False):
        panel.set_xlabel('T (0: not derained)')
        panel.set_ylabel(name)
        panel.xaxis.get_major_locator().set_params(integer=True)
    if labelled:
        panels[1].legend(fontsize='small')
        panels[2].set_xlabel('coverage, % of the pixels at or above a confidence')
        panels[2].set_ylabel(f'right labels among them, %, T = {entry["steps"][-1]["t"]}')
    if rains:
        _draw_rain(panels[3], dict(sorted(rains.items())))
    for panel in panels:
        panel.grid(alpha=0.3)
    drawn, families = in_matplotlib(title)
    figure.suptitle(drawn, family=families, parse_math=False)
    save_plot(path, figure, dpi=120)


def _draw_rate(panels: Sequence[Any], entry: dict[str, Any], label: str) -> None:
    """Draw the lines of a rain rate; '' for pairs, which have no labels."""
    lines = [('psnr', entry['input']['psnr'])]
    if label:
        lines.append(('miou', entry['segmentation']['own']['miou']))
        points = entry['steps'][-1]['coverage']
        panels[2].plot([point['coverage'] for point in points],
                       [point['accuracy'] for point in points], marker='.', label=label)
    for panel, (name, start) in zip(panels, lines, strict=False):
        values = [start, *(step[name] for step in entry['steps'])]
        known = [(t, v) for t, v in enumerate(values) if v is not None and math.isfinite(v)]
        panel.plot([t for t, _ in known], [v for _, v in known], marker='o', label=label)


def _draw_rain(panel: Any, rains: dict[float, dict[str, Any]]) -> None:
    rates, estimates = list(rains), list(rains.values())
    panel.fill_between(rates, [rain['rate_p10'] for rain in estimates],
                       [rain['rate_p90'] for rain in estimates], alpha=0.2,
                       label='10th to 90th percentile')
    panel.plot(rates, [rain['rate'] for rain in estimates], marker='o', label='median')
    panel.plot(rates, rates, color='black', linestyle='--', label='the truth')
    panel.set_xlabel('rain rate, mm/hr')
    panel.set_ylabel('estimated rain rate, mm/hr')
    panel.legend(fontsize='small')


def _image(score: dict[str, Any]) -> tuple[str, str]:
    equal = f'{score["equal"]} equal, ' if score['equal'] else ''
    return f'{equal}{fixed(score["psnr"])}', f'{score["ssim"]:.4f}'


def _with_left_out(text: str, results: dict[str, Any]) -> str:
    return '\n'.join([text, *left_out_text(results)])


def _step(score: dict[str, Any]) -> tuple[str, ...]:
    return *_image(score), fixed(score['miou']), fixed(score['ece']), *_taken(score)


def _taken(score: dict[str, Any]) -> tuple[str, ...]:
    return (fixed(score['iterations']),) if 'iterations' in score else ()


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)
           ) -> str:
    """Tabulate rows that may lack their last cells, without columns that all of them lack."""
    width = max(map(len, rows))
    return table(columns[:width], [[*row, *[''] * (width - len(row))] for row in rows], left)
