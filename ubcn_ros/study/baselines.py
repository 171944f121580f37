# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Table 4 of the paper, made again: baselines and IDM on the same rain, for the same budget.

Each is trained from scratch by the same recipe, once on as many samples as IDM ('samples') and
once for as long as IDM ('time': as many optimizer steps as fit, by a few that are timed), and
measured with one segmentation network after it. What is done is kept in one JSON file and not done
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ubcn_ros.data.mixture import Data
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.runtime.weights import PARTS, ModelInfo, load_model, save_model
from ubcn_ros.study.results_file import open_results, save_results
from ubcn_ros.training.config import TrainConfig, decisive, shortened
from ubcn_ros.training.run import Run

if TYPE_CHECKING:
    from lightning.fabric import Fabric

IDM = 'idm'
BUDGETS = ('samples', 'time')
_STAGE = 'derain'
_TIMED_SECONDS = 4.0


@dataclass
class BaselineStudy:
    """
    The study in one output folder.

    :param config: recipe of IDM with the stage derain alone; its variants are the baselines.
    :param data: training and measuring: of the split val, or the one that there is.
    :param model: name or path of the model whose segmentation network labels what all of them
        derain; it is measured as UBCN, too, where it is a whole one.
    :param out: output folder.
    :param networks: variants of the recipe.
    :param budgets: some of BUDGETS.
    :param rates: mm/hr.
    :param iterations: T of UBCN.
    :param stride, limit: which scenes of the split are measured.
    :param say: told what is being done.
    :raises ValueError: a recipe of other stages; an unknown variant; a model whose segmentation
        was never trained; the folder holds a study with other settings.
    """

    config: TrainConfig
    data: Data
    model: str
    out: Path
    networks: Sequence[str]
    budgets: Sequence[str] = BUDGETS
    rates: Sequence[float] = (50.0, 150.0, 250.0)
    iterations: int = 3
    stride: int = 1
    limit: int | None = None
    workers: int = 1
    command: str = ''
    say: Callable[[str], object] = print

    def __post_init__(self) -> None:
        """Read what is there, and refuse what does not belong to it."""
        if [*self.config.stages] != [_STAGE]:
            raise ValueError(f'the recipe {self.config.name!r} has the stages '
                             f'{", ".join(self.config.stages) or "(none)"}: a study of baselines '
                             f'takes one with {_STAGE} alone, such as baselines')
        configs = {name: self.config.variant(name) for name in self.networks}
        self.configs = {IDM: self.config, **configs}
        self.results = open_results(self.path, self.command, {
            'recipes': {name: decisive(config, _STAGE) for name, config in self.configs.items()},
            'data': [found.name for found in self.data.sets], 'model': self.info.sha256,
            'split': self.data.measured_split, 'rates': list(self.rates), 'stride': self.stride,
            'limit': self.limit, 'iterations': self.iterations}, {
            'seconds_per_step': {}, 'input': {}, 'ubcn': [], 'trained': {}, 'times': {}})

    @property
    def path(self) -> Path:
        """Of the file that holds all figures."""
        return self.out / 'baselines.json'

    @cached_property
    def info(self) -> ModelInfo:
        """Of the model with the segmentation network."""
        return load_model(self.model, ('segmentation',))[1]

    @cached_property
    def start(self) -> str:
        """Return a file that all start from: the segmentation network and nothing that derains."""
        path = self.out / 'segmentation.safetensors'
        if not path.is_file():
            network, info = load_model(self.model)
            save_model(path, network, {**info.metadata, 'trained': ['segmentation']})
        return str(path)

    def train(self, fabric: Fabric) -> None:
        """Train and measure everything that is not done yet."""
        if not self.results['input']:
            self.say(f'measuring {self.info.name}')
            self._measure_model(fabric)
        for budget in self.budgets:
            done = self.results['trained'].setdefault(budget, {})
            for name in self.configs:
                if name not in done:
                    self.say(f'{name}, for the same {budget}')
                    done[name] = self._trained(fabric, name, budget)
                    self.save()

    def save(self) -> None:
        """Write all figures."""
        save_results(self.path, self.results)

    def _trained(self, fabric: Fabric, name: str, budget: str) -> dict[str, Any]:
        """Train a network and measure it; of one that diverges, say that."""
        if name == IDM and (known := self._idm()):
            return known
        steps = self._steps(fabric, name, budget)
        run = self._run(name, shortened(self.configs[name], steps), budget)
        row: dict[str, Any] = {'optimizer_steps': steps,
                               'samples': steps * run.config.stages[_STAGE].batch}
        try:
            run.train(fabric, run.plan(resume=True), self.workers)
        except FloatingPointError as error:
            return {**row, 'error': str(error)}
        loaded = self._loaded(run.files.result, fabric, (_STAGE, 'segmentation'))
        row |= {'sha256': loaded.info.sha256, 'parameters': parameters(run.files.result)}
        rates = self._measured(loaded, 1)['rates']
        return {**row, 'rates': {rate: image_and_labels(entry['steps'][0])
                                 for rate, entry in rates.items()}}

    def _idm(self) -> dict[str, Any] | None:
        """Return what is known of IDM, whose samples and time are those of every budget."""
        return next((rows[IDM] for rows in self.results['trained'].values() if IDM in rows), None)

    def _run(self, name: str, config: TrainConfig, budget: str) -> Run:
        return Run(config, self.data, self.out / budget / name, self.start, command=self.command)

    def _steps(self, fabric: Fabric, name: str, budget: str) -> int:
        """Return the optimizer steps of a network in a budget."""
        steps = self.config.stages[_STAGE].optimizer_steps
        if budget == 'samples' or name == IDM:
            return steps
        return max(1, round(steps * self._seconds(fabric, IDM) / self._seconds(fabric, name)))

    def _seconds(self, fabric: Fabric, name: str) -> float:
        """Time a few optimizer steps, once."""
        known = self.results['seconds_per_step']
        if name not in known:
            run = self._run(name, self.configs[name], BUDGETS[0])
            (found,) = run.estimates(fabric, [_STAGE], self.workers, _TIMED_SECONDS)
            known[name] = found.seconds_per_step
            self.save()
        return known[name]

    def _measure_model(self, fabric: Fabric) -> None:
        """Measure the rainy images, and the loop of a model that is whole."""
        whole = set(self.info.trained) == {*PARTS}
        loaded = self._loaded(self.info.path, fabric, ('segmentation',))
        measured = self._measured(loaded, self.iterations if whole else 1)['rates']
        self.results['input'] = {rate: {**entry['input'],
                                        'miou': entry['segmentation']['own']['miou']}
                                 for rate, entry in measured.items()}
        network = load_model(self.info.path)[0]
        sizes = {part: sum(p.numel() for p in getattr(network, part).parameters())
                 for part in ('derain', 'attention', 'segmentation')}
        for t in (1, self.iterations) if whole else ():
            self.results['ubcn'].append(
                {'t': t, 'parameters': sizes, 'rates': {
                    rate: image_and_labels(entry['steps'][t - 1])
                    for rate, entry in measured.items()}})
        self.save()

    @staticmethod
    def _loaded(path: Path, fabric: Fabric, needs: Sequence[str]) -> LoadedModel:
        return LoadedModel.load(path, str(fabric.device), needs=needs)

    def _measured(self, loaded: LoadedModel, iterations: int) -> dict[str, Any]:
        scenes = self.data.split(self.data.measured_split).labelled()
        return measure_scenes(loaded, scenes, range(0, len(scenes), self.stride)[:self.limit],
                              self.rates, iterations)


def parameters(path: Path) -> int:
    """Count those of a model's IDM or baseline, of which a published file may hold more."""
    derain = load_model(path)[0].derain
    return (getattr(derain, 'published_parameters', None)
            or sum(p.numel() for p in derain.parameters()))


def image_and_labels(step: dict[str, Any]) -> dict[str, float]:
    """Return the three figures of a step."""
    return {name: step[name] for name in ('psnr', 'ssim', 'miou')}
