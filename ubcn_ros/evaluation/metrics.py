# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The metrics that a model is judged by, derived from what was measured."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A derived metric: its name in JSON, what it is in words, and its unit, '' for a share."""

    key: str
    text: str
    value: float
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {'text': self.text, 'value': self.value, 'unit': self.unit}


def common_means(rows: Sequence[Mapping[Hashable, float]]) -> tuple[dict[Hashable, float], int]:
    """
    Average figures that stand side by side over the images in which all of them are finite.

    Means over different images cannot be compared, and the PSNR of equal images is infinite. A
    figure that no image has finite, as the PSNR of the input where it does not rain, leaves no
    image out, and is infinite (NaN where the signs differ).

    :param rows: the figures of each image, by name; one may lack some.
    :return: the means by name, NaN where no image has all; and over how many images they are.
    """
    keys = dict.fromkeys(key for row in rows for key in row)
    finite = {key for row in rows for key, value in row.items() if math.isfinite(value)}
    kept = [row for row in rows
            if keys.keys() <= row.keys() and all(math.isfinite(row[key]) for key in finite)]
    return {key: sum(row[key] for row in kept) / len(kept) if kept else math.nan
            for key in keys}, len(kept)


def scene_metrics(results: dict[str, Any]) -> list[Metric]:
    """
    Derive the metrics of ``measure_scenes`` results.

    Those whose rates, steps or networks were not measured are left out, and so are differences
    of two infinite PSNRs.
    """
    rates = {float(key): entry for key, entry in results['rates'].items()}
    return _known([*_gains(rates), *_loop(rates), *_segmentation(rates, results['clean']),
                   *_dry(rates, results['clean']), *_calibration(rates), *_rain(rates),
                   *_baselines(rates)])


def pair_metrics(results: dict[str, Any]) -> list[Metric]:
    """
    Derive the metrics of ``measure_pairs`` results: the gain over the input at every step.

    What is left out is as of ``scene_metrics``.
    """
    before = results['input']['psnr']
    return _known([Metric(f'psnr_gain_T{step["t"]}', f'PSNR over the input, T = {step["t"]}',
                          step['psnr'] - before, 'dB') for step in results['steps']])


def _known(metrics: list[Metric]) -> list[Metric]:
    return [metric for metric in metrics if not math.isnan(metric.value)]


def _gains(rates: dict[float, Any]) -> Iterator[Metric]:
    for rate, entry in rates.items():
        if rate:
            yield Metric(f'psnr_gain_{rate:g}', f'PSNR over the input, T = 1, {rate:g} mm/hr',
                         entry['steps'][0]['psnr'] - entry['input']['psnr'], 'dB')


def _loop(rates: dict[float, Any]) -> Iterator[Metric]:
    steps = {rate: entry['steps'] for rate, entry in rates.items()}
    three = {rate: s[2] for rate, s in steps.items() if len(s) >= 3}
    if 150.0 in three and 250.0 in three:
        gain = sum(three[r]['psnr'] - steps[r][0]['psnr'] for r in (150.0, 250.0)) / 2
        yield Metric('loop_psnr', 'PSNR, T = 3 over T = 1, mean of 150 and 250 mm/hr', gain,
                     'dB')
    if 250.0 in three:
        yield Metric('loop_miou_250', 'mIoU, T = 3 over T = 1, 250 mm/hr',
                     three[250.0]['miou'] - steps[250.0][0]['miou'], 'points')
    for name, key, unit in (('psnr', 'PSNR', 'dB'), ('miou', 'mIoU', 'points')):
        changes = [(after[name] - before[name], after['t'], rate)
                   for rate, all_steps in steps.items() if rate or len(steps) == 1
                   for before, after in zip(all_steps, all_steps[1:], strict=False)
                   if not math.isnan(after[name] - before[name])]
        if changes:
            worst, t, rate = min(changes)
            yield Metric(f'worst_step_{name}', f'worst change of {key} from one step to the next '
                         f'(T = {t}, {rate:g} mm/hr)', worst, unit)


def _segmentation(rates: dict[float, Any], clean: dict[str, Any]) -> Iterator[Metric]:
    yield Metric('clean_miou', 'mIoU of the own segmentation network, clean images',
                 clean['own']['miou'], '%')
    if 'clean' not in clean:
        return
    upper = clean['clean']['miou']
    for rate, entry in rates.items():
        if len(entry['steps']) >= 3 and rate:
            yield Metric(f'miou_lost_{rate:g}', f'mIoU lost to rain, {rate:g} mm/hr, T = 3: '
                         'below the network trained on clean images, on these',
                         upper - entry['steps'][2]['miou'], 'points')
    for rate, entry in rates.items():
        if rate and upper:
            yield Metric(f'kept_{rate:g}', f'mIoU kept in {rate:g} mm/hr by the network trained '
                         'on clean images', entry['segmentation']['clean']['miou'] / upper, '')


def _dry(rates: dict[float, Any], clean: dict[str, Any]) -> Iterator[Metric]:
    steps = rates[0.0]['steps'] if 0.0 in rates else []
    if len(steps) >= 3:
        yield Metric('dry_psnr', 'PSNR of a dry frame, T = 3', steps[2]['psnr'], 'dB')
        yield Metric('dry_miou', 'mIoU of a dry frame, T = 3 over the frame as it is',
                     steps[2]['miou'] - clean['own']['miou'], 'points')


def _calibration(rates: dict[float, Any]) -> Iterator[Metric]:
    for rate, entry in rates.items():
        last = entry['steps'][-1]
        yield Metric(f'ece_{rate:g}', f'expected calibration error, T = {last["t"]}, {rate:g} '
                     'mm/hr', last['ece'], '%')


def _rain(rates: dict[float, Any]) -> Iterator[Metric]:
    for rate, entry in rates.items():
        if 'rain' not in entry:
            continue
        if entry['rain']['rate_error'] is not None:
            yield Metric(f'rain_rate_{rate:g}', f'error of the rain rate, median, {rate:g} mm/hr',
                         entry['rain']['rate_error'], '%')
            yield Metric(f'visibility_{rate:g}', f'error of the visibility, median, {rate:g} '
                         'mm/hr', entry['rain']['visibility_error'], '%')
        else:
            yield Metric('rain_dry', 'dry frames estimated below 2 mm/hr',
                         entry['rain']['dry'], '%')


def _baselines(rates: dict[float, Any]) -> Iterator[Metric]:
    for rate, entry in rates.items():
        for name, steps in entry['baselines'].items():
            last, theirs = entry['steps'][-1], steps[-1]
            where = f'{name}, T = {last["t"]}, {rate:g} mm/hr'
            yield Metric(f'psnr_over_{name}_{rate:g}', f'PSNR over {where}',
                         last['psnr'] - theirs['psnr'], 'dB')
            yield Metric(f'miou_over_{name}_{rate:g}', f'mIoU over {where}',
                         last['miou'] - theirs['miou'], 'points')
