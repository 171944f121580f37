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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubcn_ros.evaluation.measure import LoadedModel, check_classes, measure_scenes
from ubcn_ros.runtime.device import resolve_device, resolve_precision
from ubcn_ros.runtime.weights import load_model
from ubcn_ros.study.measured import by_step, labelled_scenes
from ubcn_ros.study.parameters import WHOLE, parameters
from ubcn_ros.study.results_file import open_results
from ubcn_ros.study.study import Study
from ubcn_ros.study.times import time_all
from ubcn_ros.training.record import scenes_record


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
            {'input': {}, 'networks': {}, 'times': {}}, self.text_of)
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
