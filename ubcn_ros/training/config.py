# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe file (config/train/*.yaml) can say, as dataclasses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ubcn_ros.data.validation_rain import RAINS, RENDERED
from ubcn_ros.data.yaml_values import parse_yaml
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.yaml_to_dataclass import (
    build,
    check_choice,
    check_range,
    check_text,
    merged,
)

STAGES = ('derain', 'adapt', 'attend', 'joint')
_LENGTHS = ('optimizer_steps', 'epochs')


@dataclass(frozen=True)
class ModelConfig:
    """What network is trained."""

    # of UBCNConfig.preset; without one that of the model given by --init
    preset: str = ''
    # values that replace those of the preset or model, by part: {attention: {blocks: 3}}
    overrides: dict[str, Any] = field(default_factory=dict)
    # of weights that come from no model: 'default' is each module's own; 'xavier' draws every
    # convolution by Glorot and Bengio's normalized initialization, and sets its bias to 0
    initialization: str = 'default'

    def __post_init__(self) -> None:
        check_choice('initialization', self.initialization, ('default', 'xavier'))


@dataclass(frozen=True)
class DataConfig:
    """Which scenes of --data train and validate."""

    # starts of the names of scenes that are left out of training
    exclude: tuple[str, ...] = ()
    # larger images are shrunk to this short side, pixels, before anything else, but for image
    # pairs; 0: none are
    short_side: int = 0
    # of scenes of the same name in several data sets the first alone trains
    unique_names: bool = False
    # at most so many scenes of the split val, spread evenly, validate; 0: none, and the last
    # network is the best
    validation_images: int = 25
    # in which they are validated, of RAINS
    validation_rain: str = RENDERED

    def __post_init__(self) -> None:
        check_text('exclude', *self.exclude)
        if self.short_side:
            check_range(self, ('short_side',), 32, 8192)
        check_range(self, ('validation_images',), 0)
        check_choice('validation_rain', self.validation_rain, RAINS)


@dataclass(frozen=True)
class OptimizerConfig:
    """One optimizer and its learning-rate schedule."""

    # 'adam', 'adamw' or 'sgd'
    kind: str = 'adam'
    # learning rate after the warm-up
    lr: float = 1e-3
    weight_decay: float = 0.0
    # of sgd
    momentum: float = 0.9
    # 'constant', 'cosine' (to zero), 'poly' (power 0.9) or 'step' (times gamma now and then)
    schedule: str = 'cosine'
    # share of the stage in which the learning rate rises linearly, 0..1
    warm_up: float = 0.05
    # factor of each step of the schedule 'step'
    gamma: float = 0.2
    # share of the stage between two steps of the schedule 'step'
    every: float = 0.3

    def __post_init__(self) -> None:
        check_choice('optimizer', self.kind, ('adam', 'adamw', 'sgd'))
        check_choice('schedule', self.schedule, ('constant', 'cosine', 'poly', 'step'))
        check_range(self, ('lr', 'weight_decay'), 0, 1e6)  # torch's optimizers overflow
        check_range(self, ('momentum', 'warm_up', 'gamma'), 0, 1)
        check_range(self, ('every',), 1e-6, 1)


@dataclass(frozen=True)
class StageConfig:
    """One of the four stages."""

    # length of the stage
    optimizer_steps: int = 1000
    # length in passes over the training images, instead of optimizer_steps; 0, which a recipe must
    # not say: optimizer_steps are the length
    epochs: float = 0.0
    # samples per optimizer step, over all processes
    batch: int = 8
    samples: SampleConfig = field(default_factory=SampleConfig)
    # of what is trained
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    # of the discriminator (adapt)
    discriminator: OptimizerConfig = field(default_factory=OptimizerConfig)
    # T, steps of the unrolled loop (attend, joint)
    iterations: int = 3
    # weight of the segmentation loss beside the deraining loss (attend, joint)
    segmentation_weight: float = 0.1
    # weight of minus the PSNR in dB of the streaks (means of 32x32 pixels taken out), beside the
    # deraining loss (derain, attend, joint)
    psnr_weight: float = 0.0
    # dB at which that PSNR levels off: the lower, the less dry frames count beside rainy ones
    psnr_cap: float = 50.0
    # weight of the adversarial loss (adapt, where that of the segmentation loss is 1); 0 leaves
    # the discriminator out
    adversarial_weight: float = 1e-3
    # weight of the Lovasz loss beside the segmentation loss (adapt)
    lovasz_weight: float = 0.0
    # share of the segmentation loss that takes derained instead of clean images, 0..1 (adapt)
    derained_share: float = 0.0
    # weight of how differently derained and clean images are labelled (adapt)
    # what a pixel near to another class counts more than one (adapt, attend, joint)
    boundary_weight: float = 0.0
    # weight of the loss of the rain rate and extinction, which the renderer knows (derain, joint)
    rain_weight: float = 0.0
    # weight of the L1 loss on means of 8x8 pixels of the image that the veil was lifted from
    # (derain, joint)
    veil_weight: float = 0.0
    # weight of the losses of a step of the loop over those of the step before (attend, joint)
    step_factor: float = 1.0
    # weigh the classes of the segmentation loss by how rare they are
    class_balance: bool = True
    # SAM starts from IDM's weights unless it was trained already (attend, joint)
    warm_start: bool = True
    # a single step of the loop, drawn at random, learns from a batch (attend)
    one_step: bool = False
    # batch normalisation keeps its statistics
    freeze_norm: bool = False
    # largest norm of the gradient, 0 for any
    grad_clip_norm: float = 1.0
    # decay of the moving average of the weights, which is what is validated and saved; 0: the
    # weights themselves are
    ema_decay: float = 0.0
    # forward and backward pass are compiled by torch.compile, which takes minutes at the start
    compile: bool = False
    # optimizer steps between two validations
    validate_every: int = 500
    # optimizer steps between two checkpoints
    save_every: int = 200

    def __post_init__(self) -> None:
        check_range(self, ('optimizer_steps', 'batch', 'validate_every', 'save_every'), 1, 10**9)
        check_range(self, ('iterations',), 1, 10)
        check_range(self, ('epochs',), 0, 1e6)
        check_range(self, ('derained_share', 'ema_decay'), 0, 1)
        check_range(self, ('segmentation_weight', 'psnr_weight', 'adversarial_weight',
                           'lovasz_weight', 'boundary_weight', 'rain_weight',
                           'veil_weight', 'grad_clip_norm'), 0)
        check_range(self, ('psnr_cap',), 1, 100)
        check_range(self, ('step_factor',), 0.01, 100)


_UNROLLED, _VEIL = ('attend', 'joint'), ('derain', 'joint')
STAGES_WITH = {
    **dict.fromkeys(('discriminator', 'adversarial_weight', 'lovasz_weight', 'derained_share'),
                    ('adapt',)),
    **dict.fromkeys(('iterations', 'segmentation_weight', 'step_factor', 'warm_start'),
                    _UNROLLED),
    **dict.fromkeys(('psnr_weight', 'psnr_cap'), ('derain', *_UNROLLED)),
    **dict.fromkeys(('rain_weight', 'veil_weight'), _VEIL),
    'boundary_weight': ('adapt', *_UNROLLED), 'one_step': ('attend',)}
"""Stages that use a key of StageConfig, of those that not all do."""


def _check_used(stage: str, config: StageConfig, where: str) -> None:
    """Raise ValueError where a value that is not the default would do nothing in the stage."""
    default = StageConfig()
    for key, stages in STAGES_WITH.items():
        value = getattr(config, key)
        if stage not in stages and value != getattr(default, key):
            shown = 'given' if key == 'discriminator' else value
            raise ValueError(f'{where}.{key} is {shown}, which does nothing in {stage}: leave it '
                             f'out; {", ".join(stages)} can have it')


@dataclass(frozen=True)
class TrainConfig:
    """A whole recipe."""

    # of the recipe, and of its output folder
    name: str
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    # of weights, samples and everything else that is drawn
    seed: int = 0
    # by name: those of STAGES that the recipe has, in their order
    stages: dict[str, StageConfig] = field(default_factory=dict)
    # what else may be trained by it, by name: the values that replace those of the recipe, such as
    # {no-veil: {model: {overrides: {veil: null}}}}
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text('name', self.name)
        if self.name[0] == '.' or not all(c.isprintable() and c not in '/\\' for c in self.name):
            raise ValueError(f'name is {self.name!r}: files get it: choose one without / and '
                             'with no . at its start')
        check_range(self, ('seed',), 0, 2 ** 40)
        check_text('variants', *self.variants)

    @classmethod
    def load(cls, path: Path | str) -> TrainConfig:
        """
        Read a recipe file.

        :param path: of a YAML file.
        :raises ValueError: it is not YAML, or has a key twice; unknown or missing keys, unknown
            stages, or values of another type or out of range, naming them and what is expected.
        :raises OSError: the file cannot be read.
        """
        values = parse_yaml(Path(path))
        if not isinstance(values, dict):
            raise ValueError(f'{path} is not a recipe: expected a mapping with at least "name"')
        config = _from_dict(values, str(path))
        for name in config.variants:
            config.variant(name, f'{path}: variants.{name}')
        return config

    def variant(self, name: str, where: str = '') -> TrainConfig:
        """
        Return a variant of the recipe, whose name has the variant's at its end.

        :param where: the variant stands, for errors.
        :raises ValueError: there is none of that name, or what it says is no recipe.
        """
        where = where or f'variants.{name}'
        if name not in self.variants:
            raise ValueError(f'the recipe {self.name!r} has no variant {name!r}: it has '
                             f'{", ".join(self.variants) or "none"}')
        changes = self.variants[name] or {}
        if not isinstance(changes, dict) or {'name', 'variants'} & {*changes}:
            raise ValueError(f'{where} is {changes!r}: expected what differs, without a name')
        stages = changes.get('stages', {})
        if not isinstance(stages, dict):
            raise ValueError(f'{where}: stages is {stages!r}: expected a mapping of stages to '
                             'what differs')
        for stage, change in stages.items():
            find_stage(self, stage)
            if change is None:  # not all of its defaults
                raise ValueError(f'{where}: stages.{stage} is empty: say what differs, or leave '
                                 'it out; a variant has all stages of the recipe')
        values = {**self.to_dict(), 'name': f'{self.name}-{name}'}
        for stage, change in stages.items():
            if isinstance(change, dict) and {*_LENGTHS} & {*change}:
                for key in _LENGTHS:  # the variant's length replaces the recipe's, in any unit
                    values['stages'][stage].pop(key, None)
        return _from_dict(merged(values, changes), where)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values without the variants, for the record in a checkpoint."""
        values = asdict(self)
        del values['variants']
        for stage in values['stages'].values():
            del stage['optimizer_steps' if stage['epochs'] else 'epochs']
        return values


def _from_dict(values: dict[str, Any], where: str) -> TrainConfig:
    """Make a recipe of plain values; raises as ``TrainConfig.load``."""
    given = values.get('stages') or {}
    if not isinstance(given, dict):
        raise ValueError(f'{where}: stages must be a mapping, got {given!r}')
    for name in given:
        if name not in STAGES:
            raise ValueError(f'{where}: unknown stage {name!r}: expected {", ".join(STAGES)}')
        if isinstance(given[name], dict) and {*_LENGTHS} <= {*given[name]}:
            raise ValueError(f'{where}: stages.{name} has both {" and ".join(_LENGTHS)}: leave '
                             'one out')
    stages = {name: build(StageConfig, given[name] or {}, f'{where}: stages.{name}')
              for name in STAGES if name in given}
    for name, stage in stages.items():
        if 'epochs' in (given[name] or {}) and not stage.epochs:
            raise ValueError(f'{where}: stages.{name}.epochs is 0, which is not a length: say '
                             'how many, or leave it out for optimizer_steps')
        _check_used(name, stage, f'{where}: stages.{name}')
    return build(TrainConfig, {**values, 'stages': stages}, where)


def find_stage(config: TrainConfig, stage: str) -> StageConfig:
    """Return the stage of a recipe; ValueError naming those it has."""
    if stage not in config.stages:
        raise ValueError(f'the recipe {config.name!r} has no stage {stage!r}: it has '
                         f'{", ".join(config.stages) or "none"}')
    return config.stages[stage]


def with_length(config: TrainConfig, steps: int | float) -> TrainConfig:
    """
    Return the recipe with another length of every stage.

    :param steps: optimizer steps, or as a float the share of the recipe's length.
    """
    def changed(stage: StageConfig) -> StageConfig:
        if isinstance(steps, int):
            return replace(stage, optimizer_steps=steps, epochs=0.0)
        return replace(stage, optimizer_steps=max(1, round(steps * stage.optimizer_steps)),
                       epochs=steps * stage.epochs)
    return replace(config, stages={name: changed(stage) for name, stage in config.stages.items()})


def in_optimizer_steps(config: TrainConfig, images: Callable[[str], int]) -> TrainConfig:
    """
    Return the recipe with the length of every stage in optimizer steps.

    :param images: counts those that a stage, given by its name, trains on.
    """
    return replace(config, stages={
        name: replace(stage, epochs=0.0, optimizer_steps=max(
            1, round(stage.epochs * images(name) / stage.batch))) if stage.epochs else stage
        for name, stage in config.stages.items()})


def decisive(config: TrainConfig, stage: str) -> dict[str, Any]:
    """Return what of a recipe decides on a stage's weights, as the checkpoint holds it."""
    recipe = config.to_dict()
    chosen = recipe['stages'][stage]
    del chosen['save_every']
    return json.loads(json.dumps({'model': recipe['model'], 'data': recipe['data'],
                                  'seed': recipe['seed'], 'stages': {stage: chosen}}))
