# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whole models side by side: quality by rain rate and step, size, and time on one large image.

``networks.json`` has, beside what ``results_file`` says:

- input: {rate: {'psnr', 'ssim'}} of the rainy images;
- networks: {name: row}, the name that of the model's file. A row has 'sha256', 'segmentation'
  (name of FAM's network), 'parameters' {part: count}, 'alone' {rate: mIoU in %} of the rainy
  images without deraining, and 'steps', the figures {rate: {'psnr', 'ssim', 'miou'}} of T = 1, 2,
  ... in their order;
- times: as of ``times.time_all``, whose names are 'NAME, T = 3'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubcn_ros.evaluation.measure import LoadedModel, check_classes, measure_scenes
from ubcn_ros.report.charts import figure
from ubcn_ros.runtime.device import resolve_device, resolve_precision
from ubcn_ros.runtime.weights import load_model
from ubcn_ros.study.measured import HEADER, by_step, cells, difference, labelled_scenes
from ubcn_ros.study.paper import TABLE_4_UBCN
from ubcn_ros.study.parameters import WHOLE, megabytes, parameters
from ubcn_ros.study.results_file import open_results
from ubcn_ros.study.statements import Statement, listing, statements_text
from ubcn_ros.study.study import Study
from ubcn_ros.study.times import time_all, time_cells, time_header
from ubcn_ros.text_table import table
from ubcn_ros.training.record import scenes_record

PSPNET = 'pspnet_resnet50'
"""The segmentation network that table 4's size of UBCN's fits."""

_SIZES = "UBCN's parts have the sizes of table 4"
_BYTES = {'MB': 1e6, 'MiB': 2 ** 20}
_CLOSE = 0.02  # share of the paper's figure


@dataclass(kw_only=True)
class NetworkStudy(Study):
    """
    The study in one output folder.

    :param models: names or paths of whole models of the same classes; further ones may be given
        later.
    :param data: of the split val, or the one that there is.
    :param rates: mm/hr.
    :param rain: that falls, one of RAINS.
    :param iterations: T.
    :param device, precision: as of ``LoadedModel.load``.
    :raises ValueError: no labels; a model with parts that were never trained, or of other classes;
        two models of one name; the folder holds a study with other settings, or another model of
        the same name.
    """

    file = 'networks.json'

    models: Sequence[str]
    rates: Sequence[float]
    iterations: int
    device: str
    precision: str
    rain: str

    def __post_init__(self) -> None:
        """Read what is there, and refuse what does not belong to it."""
        self.scenes = labelled_scenes(self.data).labelled()
        self.results = open_results(self.path, self.command, {
            'data': [found.name for found in self.data.sets],
            **self.data_settings,
            'scenes': scenes_record(self.scenes), 'rates': list(self.rates), 'rain': self.rain,
            'stride': self.stride, 'limit': self.limit, 'iterations': self.iterations,
            'precision': resolve_precision(self.precision, resolve_device(self.device))},
            {'input': {}, 'networks': {}, 'times': {}}, networks_text)
        self.files: dict[str, Path] = {}
        for model in self.models:
            info = load_model(model, WHOLE)[1]
            check_classes(model, info.config.label_set, self.scenes)
            if info.name in self.files:
                raise ValueError(f'{model} has the name of {self.files[info.name]}, '
                                 f'{info.name}: rename one of the files')
            known = self.results['networks'].get(info.name)
            if known and known['sha256'] != info.sha256:
                raise ValueError(f'{self.path} has the figures of another model named '
                                 f'{info.name} than {model}: choose another --out, or rename the '
                                 'file')
            self.files[info.name] = info.path

    def measure(self, progress: Callable[[], object]) -> None:
        """
        Measure every model that is not measured yet.

        :param progress: called after every image and rate.
        """
        for name, path in self.files.items():
            if name not in self.results['networks']:
                self.say(f'measuring {name}')
                self.results['networks'][name] = self._measured(path, progress)
                self.save()

    def time(self, size: tuple[int, int], precision: str, frames: int) -> None:
        """
        Time every model that is not timed yet, on the devices of this machine.

        :param size, precision, frames: as of ``time_all``.
        """
        time_all(self.results['times'], (), self.files, iterations=self.iterations, size=size,
                 precision=precision, frames=frames, done=self.timed)

    def _measured(self, path: Path, progress: Callable[[], object]) -> dict[str, Any]:
        network, info = load_model(path)
        sizes = parameters(network, *WHOLE)
        loaded = LoadedModel.load(path, self.device, self.precision)
        rates = measure_scenes(loaded, self.scenes, self.indices, self.rates,
                               self.iterations, progress=progress, rain=self.rain,
                               workers=self.workers)['rates']
        self.results['input'] = {rate: entry['input'] for rate, entry in rates.items()}
        return {'sha256': info.sha256, 'segmentation': info.config.segmentation,
                'parameters': sizes, 'steps': by_step(rates),
                'alone': {rate: entry['segmentation']['own']['miou']
                          for rate, entry in rates.items()}}


def networks_text(results: Mapping[str, Any]) -> str:
    """
    Lay out all that a study has found, a line for every step; times are of the last.

    :param results: of ``NetworkStudy``.
    """
    times = results['times']
    header = ('model', 'segmentation', 'MB: IDM + SAM + segmentation', 'T', *HEADER,
              *time_header(times))
    nothing = [''] * len(time_header(times))
    lines = [['rainy image', '', '', '', *cells(results['input']), *nothing]]
    for name, row in results['networks'].items():
        lines.append([name, row['segmentation'], megabytes(row['parameters']), '', '', '',
                      cells({rate: {'miou': miou} for rate, miou in row['alone'].items()})[-1],
                      *nothing])
        for t, rates in enumerate(row['steps'], 1):
            lines.append(['', '', '', str(t), *cells(rates),
                          *time_cells(times, f'{name}, T = {t}')])
    size, seconds = TABLE_4_UBCN
    rates = ' / '.join(results['input'])
    return (f'at {rates} mm/hr; without a T: labelled without deraining\n'
            f'{table(header, lines, left=(0, 1, 2))}\n\n'
            f"the paper's table 4: {size} MB, {seconds} s at T = 3 and 2048x1024 on an RTX 2080 "
            'Ti; of its UBCN these are MiB, 4.9 % more each than ours: so its 177.60 fit '
            f'PSPNet-ResNet50\n\n{statements_text(networks_statements(results))}')


def networks_statements(results: Mapping[str, Any]) -> list[Statement]:
    """
    State what was found of table 4's sizes, and of what the loop gains.

    :param results: of ``NetworkStudy``.
    """
    networks = results['networks'].items()
    sizes = [_size_statement(name, row['parameters']) for name, row in networks
             if row['segmentation'] == PSPNET]
    return [*(sizes or [Statement(_SIZES, None, f'needs a model with {PSPNET}')]),
            *(_loop_statement(name, row['steps']) for name, row in networks)]


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
    known = [gain for pair in gains.values() for gain in pair if gain is not None]
    text = f'Step {t} derains and labels better than step 1, in rain ({name})'
    if t < 2 or not known:
        return Statement(text, None, 'needs two steps and a rain rate')
    return Statement(text, min(known) > 0, ', '.join(
        f'{figure(psnr, 2, True)} dB and {figure(miou, 1, True)} points of mIoU at {rate} mm/hr'
        for rate, (psnr, miou) in gains.items()))
