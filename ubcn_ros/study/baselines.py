# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Table 4 of the paper, made again: baselines, IDM and UBCN on the same rain, for the same budget.

Each is trained from scratch by the same recipe, once on as many samples as IDM ('samples') and
once for as long as IDM ('time': as many optimizer steps as fit, by a few that are timed), and
measured with one segmentation network after it, which nothing here trains. UBCN shares its budget
between IDM and SAM: the recipe's stage attend says what SAM takes of it, its IDM has the rest.

``baselines.json`` has, beside what ``results_file`` says:

- input: {rate: figures} of the rainy images, where figures are 'psnr' (dB), 'ssim' and 'miou' (%);
- trained: {budget: {name: row}}, whose names are 'idm', the baselines and 'ubcn'. A row has
  'optimizer_steps' {stage: count}, 'samples' (drawn for training, all in all), and either 'error'
  (it diverged) or 'sha256' of the model, 'parameters' {part: count}, 'checkpoint_mb' (size of a
  checkpoint, which table 4 quotes of some; not of UBCN) and 'steps', the figures {rate: figures}
  of T = 1, 2, ... in their order: one alone but for UBCN;
- model: 'name', 'parameters' and 'steps', likewise, of the model whose segmentation network it is,
  as it is, with the training that it had. Empty where it is not a whole one;
- optimizer_seconds: by device, as in times, {name: seconds} of an optimizer step without the
  rendering of its samples, where needed; 'sam' is UBCN's attend;
- times: as of ``times.time_all``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.runtime.model_info import PARTS, ModelInfo
from ubcn_ros.runtime.weights import load_model, save_model
from ubcn_ros.study.comparison import IDM, UBCN
from ubcn_ros.study.measured import by_step, tested_scenes
from ubcn_ros.study.parameters import WHOLE, checkpoint_megabytes, parameters
from ubcn_ros.study.results_file import open_results
from ubcn_ros.study.study import Study, check_last_counts, left_to_train
from ubcn_ros.study.times import device_title, time_all
from ubcn_ros.training.config import TrainConfig, decisive, with_length
from ubcn_ros.training.record import network_hash, scenes_record
from ubcn_ros.training.run import Run
from ubcn_ros.training.train_run import estimates, train

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import nn

_DERAIN, _ATTEND = 'derain', 'attend'
_TIMED_SECONDS = 4.0


@dataclass(kw_only=True)
class BaselineStudy(Study):
    """
    The study in one output folder.

    :param config: recipe of IDM in the stage derain, and of UBCN's SAM in attend; without that
        there is no UBCN. Its variants are the baselines, which take derain alone.
    :param data: training, and measuring on the split val.
    :param fabric: launched; its precision is a setting.
    :param model: name or path of the model whose segmentation network labels what all of them
        derain; it is measured as it is, too, where it is a whole one.
    :param baselines: some of the variants of the recipe; others may be given later.
    :param budgets: some of 'samples' and 'time'.
    :param rates: mm/hr, of the rain that the recipe validates in.
    :param iterations: T of UBCN, and of the model.
    :raises ValueError: a recipe of other stages, that validates, or whose attend leaves nothing to
        IDM; an unknown variant; no split val, or without labels; a model whose segmentation was
        never trained, or does not fit the recipe's networks; the folder holds a study with other
        settings, or the segmentation network of another model.
    """

    file = 'baselines.json'

    config: TrainConfig
    fabric: Fabric
    model: str
    baselines: Sequence[str]
    budgets: Sequence[str]
    rates: Sequence[float]
    iterations: int

    def __post_init__(self) -> None:
        """Read what is there, and refuse what does not belong to it."""
        stages = [*self.config.stages]
        if stages not in ([_DERAIN], [_DERAIN, _ATTEND]):
            raise ValueError(f'the recipe {self.config.name!r} has the stages '
                             f'{", ".join(stages) or "(none)"}: a study of baselines takes one '
                             f'with {_DERAIN}, and {_ATTEND} for UBCN, such as baselines')
        run = Run(self.config, self.data, self.out)
        self.config = run.config  # in optimizer steps
        self.scenes = tested_scenes(self.data, self.config.data.short_side)
        self.names = [IDM, *self.baselines]
        self.configs = {name: Run(replace(config, stages={_DERAIN: config.stages[_DERAIN]}),
                                  self.data, self.out).config  # likewise
                        for name, config in {IDM: self.config, **{
                            name: self.config.variant(name)
                            for name in (*self.config.variants, *self.baselines)}}.items()}
        for config in self.configs.values():
            check_last_counts(config)
        self.shares = {_DERAIN: 1.0}  # of UBCN's budget
        if _ATTEND in stages:
            self.names.append(UBCN)
            self.configs[UBCN] = replace(self.config, name=f'{self.config.name}-{UBCN}')
            samples, attend = (_samples(self.config, stage) for stage in stages)
            if attend >= samples:
                raise ValueError(f'the recipe {self.config.name!r} gives {attend} samples to '
                                 f'{_ATTEND}, which come out of the {samples} of {_DERAIN}: give '
                                 'it fewer')
            self.shares = {_DERAIN: 1 - attend / samples, _ATTEND: attend / samples}
        self.results = open_results(self.path, self.command, {
            'recipes': {name: {stage: decisive(config, stage) for stage in config.stages}
                        for name, config in self.configs.items()},
            'data': [found.name for found in self.data.sets],
            **self.data_settings, 'model': self.info.sha256,
            'training': scenes_record(run.used.training), 'scenes': scenes_record(self.scenes),
            'rates': list(self.rates), 'stride': self.stride, 'limit': self.limit,
            'iterations': self.iterations, 'precision': self.fabric._precision.precision}, {
            'optimizer_seconds': {}, 'input': {}, 'model': {}, 'trained': {}, 'times': {}},
            self.text_of)
        self._check_segmentation()

    @cached_property
    def info(self) -> ModelInfo:
        """Of the model with the segmentation network."""
        return load_model(self.model, ('segmentation',))[1]

    @cached_property
    def start(self) -> str:
        """Return a file that all start from: the segmentation network and nothing that derains."""
        if not self._start_path.is_file():
            save_model(self._start_path, *self._start_content())
        return str(self._start_path)

    def train(self) -> None:
        """Train and measure everything that is not done yet."""
        if not self.results['input']:
            self.say(f'measuring {self.info.name}')
            self._measure_model()
        for budget in self.budgets:
            done = self.results['trained'].setdefault(budget, {})
            left = [name for name in self.names if name not in done]
            if budget == 'time' and left:  # all at once: on one machine, if others go on
                for name in (IDM, *left):
                    for stage in self.configs[name].stages:
                        self._seconds(name, stage)
            for name in left:
                self.say(f'{name}, for the same {budget}')
                done[name] = self._trained(name, budget)
                self.save()

    def time(self, presets: Sequence[str], size: tuple[int, int], precision: str, frames: int
             ) -> None:
        """
        Time what is not timed yet, on the devices of this machine.

        :param presets: of UBCN, with the whole loop.
        :param size, precision, frames: as of ``time_all``.
        """
        time_all(self.results['times'], self.baselines, dict.fromkeys(presets),
                 iterations=self.iterations, size=size, precision=precision, frames=frames,
                 done=self.timed)

    @property
    def _start_path(self) -> Path:
        return self.out / 'segmentation.safetensors'

    def _start_content(self) -> tuple[nn.Module, dict[str, Any]]:
        """Return the network and the metadata of the file that all start from."""
        network, info = load_model(self.model)
        return network, {**info.metadata, 'trained': ['segmentation']}

    def _check_segmentation(self) -> None:
        """Refuse another model's file, and networks that cannot take the segmentation network."""
        if self._start_path.is_file():
            network, metadata = self._start_content()
            found, info = load_model(self._start_path)
            if (network_hash(found), info.metadata) != (network_hash(network), metadata):
                raise ValueError(f'{self._start_path} is of another model than {self.model}: '
                                 'choose another --out')
        for name in self.names:
            start = Run(self.configs[name], self.data, self.out, self.model).start(_DERAIN)
            if 'segmentation' not in start.trained:
                raise ValueError(
                    f'the {start.network.config.segmentation} that the recipe '
                    f'{self.config.name!r} gives {name} does not take the weights of the '
                    f'{self.info.config.segmentation} of {self.model}, whose network, size or '
                    'classes are others: choose another --model, or a --recipe of the same')

    def _trained(self, name: str, budget: str) -> dict[str, Any]:
        """Train a network and measure it; of one that diverges, say that."""
        if name == IDM and (known := self._idm()):
            return known
        steps, config = self._steps(name, budget), self.configs[name]
        config = replace(config, stages={
            stage: replace(config.stages[stage], optimizer_steps=count)
            for stage, count in steps.items()})
        run = self._run(name, config, budget)
        row: dict[str, Any] = {'optimizer_steps': steps, 'samples': sum(
            _samples(run.config, stage) for stage in steps)}
        try:
            train(run, self.fabric, left_to_train(run), self.workers)
        except FloatingPointError as error:
            return {**row, 'error': str(error)}
        loaded = self._loaded(run.files.result, (_DERAIN, 'segmentation'))
        whole = name == UBCN
        measured = self._measured(loaded, self.iterations if whole else 1)
        network = load_model(run.files.result)[0]
        return {**row, 'sha256': loaded.info.sha256,
                'parameters': parameters(network, *(WHOLE if whole else (_DERAIN,))),
                **({} if whole else {'checkpoint_mb': checkpoint_megabytes(network.derain)}),
                'steps': by_step(measured)}

    def _idm(self) -> dict[str, Any] | None:
        """Return what is known of IDM, whose samples and time are those of every budget."""
        return next((rows[IDM] for rows in self.results['trained'].values() if IDM in rows), None)

    def _run(self, name: str, config: TrainConfig, budget: str) -> Run:
        return Run(config, self.data, self.out / budget / name, self.start,
                   precision=self.fabric._precision.precision, command=self.command,
                   fingerprints=self.results['settings']['files'])

    def _steps(self, name: str, budget: str) -> dict[str, int]:
        """Return the optimizer steps of a network's stages in a budget, which is IDM's."""
        def cost(name: str, stage: str) -> float:
            return (self._seconds(name, stage) if budget == 'time'
                    else self.configs[name].stages[stage].batch)
        steps = self.config.stages[_DERAIN].optimizer_steps
        if name == IDM:
            return {_DERAIN: steps}
        whole = steps * cost(IDM, _DERAIN)
        shares = self.shares if name == UBCN else {_DERAIN: 1.0}
        return {stage: max(1, round(share * whole / cost(name, stage)))
                for stage, share in shares.items()}

    def _seconds(self, name: str, stage: str) -> float:
        """Time a few optimizer steps, once on a device: those of two machines do not compare."""
        known = self.results['optimizer_seconds'].setdefault(device_title(self.fabric.device), {})
        key = 'sam' if stage == _ATTEND else IDM if name == UBCN else name
        if key not in known:
            run = self._run(name, self.configs[name], 'samples')
            (found,) = estimates(run, self.fabric, [stage], self.workers, _TIMED_SECONDS)
            known[key] = found.optimizer_seconds  # with rendering, all would have equal budgets
            self.save()
        return known[key]

    def _measure_model(self) -> None:
        """Measure the rainy images, and the loop of a model that is whole."""
        whole = set(self.info.trained) == {*PARTS}
        loaded = self._loaded(self.info.path, ('segmentation',))
        measured = self._measured(loaded, self.iterations if whole else 1)
        self.results['input'] = {rate: {**entry['input'],
                                        'miou': entry['segmentation']['own']['miou']}
                                 for rate, entry in measured.items()}
        if whole:
            self.results['model'] = {
                'name': self.info.name, 'steps': by_step(measured),
                'parameters': parameters(load_model(self.info.path)[0], *WHOLE)}
        self.save()

    def _loaded(self, path: Path, needs: Sequence[str]) -> LoadedModel:
        return LoadedModel.load(path, str(self.fabric.device), needs=needs)

    def _measured(self, loaded: LoadedModel, iterations: int) -> dict[str, Any]:
        return measure_scenes(loaded, self.scenes, self.indices, self.rates,
                              iterations, rain=self.config.data.validation_rain,
                              workers=self.workers)['rates']


def with_steps(config: TrainConfig, steps: int | float) -> TrainConfig:
    """
    Return a recipe in which IDM trains for another length, and UBCN's SAM in proportion.

    :param config: whose lengths are in optimizer steps.
    :param steps: of derain, or as a float the share of the recipe's.
    :raises ValueError: so few that nothing of UBCN's budget would be left to its IDM, naming the
        least that works.
    """
    def short(config: TrainConfig) -> bool:
        return _ATTEND in config.stages and _samples(config, _ATTEND) >= _samples(config, _DERAIN)

    whole = config.stages[_DERAIN].optimizer_steps
    changed = with_length(config, steps if isinstance(steps, float) else steps / whole)
    if short(changed) and not short(config):
        least = next(n for n in itertools.count(changed.stages[_DERAIN].optimizer_steps)
                     if not short(with_length(config, n / whole)))
        raise ValueError(f'--steps leaves {changed.stages[_DERAIN].optimizer_steps} of {whole} '
                         f"optimizer steps, too few for UBCN's IDM and SAM to share: {least} are "
                         'the least that work')
    return changed


def _samples(config: TrainConfig, stage: str) -> int:
    """Return how many a recipe draws in a stage."""
    return config.stages[stage].optimizer_steps * config.stages[stage].batch
