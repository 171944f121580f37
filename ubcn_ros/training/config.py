# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe file (config/train/*.yaml) can say, as dataclasses."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

STAGES = ('derain', 'adapt', 'attend', 'joint')


@dataclass(frozen=True)
class ModelConfig:
    """Preset and label set; ``overrides`` replaces single values of the preset, by part."""

    preset: str = 'light'
    label_set: str = 'camvid'
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """
    Which scenes of the folder --data train and validate.

    kind: data set, see ``ubcn_ros.data.datasets``. exclude: starts of the names that are left
    out of training. validation_stride: every so many scenes of the split val validate.
    """

    kind: str = 'camvid'
    exclude: tuple[str, ...] = ()
    validation_stride: int = 5

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is out of range."""
        _check_text('exclude', *self.exclude)
        _check_range(self, ('validation_stride',), 1)


@dataclass(frozen=True)
class SampleConfig:
    """
    How one training sample is drawn.

    crop: (height, width) pixels. scale: range of the random resize before cropping.
    rain_probability: share of samples whose degraded image has rendered rain, the rest stays dry.
    painted_rain_probability: share of the rainy ones under painted instead of rendered rain.
    strong_augmentation_probability: share of the frames without rendered rain, dry or painted,
    that are turned, resized and recoloured beyond what a drive shows. physical_rain_probability:
    share of the rendered ones with physical parameters and distances tied to the classes; the
    others look more various, and have now and then a distance that is not. renders, reuse:
    rendered frames kept at a time, and crops taken from each. color_jitter: strength of the random
    change of brightness, contrast and colour, 0..1. drive_share: share of samples from procedural
    drives.
    """

    crop: tuple[int, int] = (192, 192)
    scale: tuple[float, float] = (1.0, 1.0)
    rain_probability: float = 1.0
    painted_rain_probability: float = 0.15
    strong_augmentation_probability: float = 0.0
    physical_rain_probability: float = 0.0
    renders: int = 64
    reuse: int = 4
    color_jitter: float = 0.0
    drive_share: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is out of range."""
        _check_range(self, ('crop',), 32, 8192)
        _check_range(self, ('scale',), 0.01, 100)
        if self.scale[0] > self.scale[1]:
            raise ValueError(f'scale is {list(self.scale)}: give the smaller one first')
        _check_range(self, ('rain', 'generic', 'unusual', 'physical', 'light', 'drives'), 0, 1)
        _check_range(self, ('renders', 'reuse'), 1)
        _check_range(self, ('diversity', 'distinct'), 0)


@dataclass(frozen=True)
class OptimizerConfig:
    """
    One optimizer: kind 'adam', 'adamw' or 'sgd'.

    schedule: 'constant', 'cosine' (to zero), 'poly' (power 0.9) or 'step' (times ``gamma`` every
    ``every`` of the run). warm_up is a share of the run.
    """

    kind: str = 'adam'
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = 'cosine'
    warm_up: float = 0.05
    gamma: float = 0.2
    every: float = 0.3

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind or schedule, or a value out of range."""
        _check_choice('optimizer', self.kind, ('adam', 'adamw', 'sgd'))
        _check_choice('schedule', self.schedule, ('constant', 'cosine', 'poly', 'step'))
        _check_range(self, ('rate', 'weight_decay', 'gamma'), 0)
        _check_range(self, ('momentum', 'warm_up'), 0, 1)
        _check_range(self, ('every',), 1e-6, 1)


@dataclass(frozen=True)
class StageConfig:
    """
    One of the four stages.

    optimizer_steps: length; batch: samples per step over all processes. start: model files that
    give modules their weights at the start, by module, relative to the output folder. overrides:
    of the preset, on top of the recipe's, in this stage alone. iterations: T of the unrolled loop.
    segmentation_weight, adversarial_weight: of the losses beside the deraining loss (adapt: the
    segmentation loss has weight 1, lovasz_weight that of the Lovasz loss beside it). psnr_weight:
    of minus the PSNR in dB beside the deraining loss (and the veil's). derained_share (adapt):
    share of the labelled loss that takes derained images. one_step (attend): a single step of the
    loop, drawn at random, learns from a batch. veil_only (derain): the veil field alone is
    trained, on 8x8 means of the image it hands on. warm_start: SAM starts from IDM's weights
    (joint: unless start names SAM's). freeze_norm: batch normalisation keeps its statistics.
    grad_clip_norm: largest gradient norm, 0 for any. validate_every, save_every: steps between
    validations and between checkpoints.
    """

    optimizer_steps: int = 1000
    batch: int = 8
    samples: SampleConfig = field(default_factory=SampleConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    discriminator: OptimizerConfig = field(default_factory=OptimizerConfig)
    start: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    iterations: int = 3
    segmentation_weight: float = 0.1
    psnr_weight: float = 0.0
    adversarial_weight: float = 1e-3
    lovasz_weight: float = 0.0
    derained_share: float = 0.0
    class_balance: bool = True
    warm_start: bool = True
    one_step: bool = False
    veil_only: bool = False
    freeze_norm: bool = False
    grad_clip_norm: float = 1.0
    validate_every: int = 500
    save_every: int = 200

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is out of range."""
        _check_text('start', *self.start, *self.start.values())
        _check_range(self, ('steps', 'batch', 'derained_steps', 'validate_every', 'save_every'), 1)
        _check_range(self, ('iterations',), 1, 10)
        _check_range(self, ('derained_share',), 0, 1)
        _check_range(self, ('segmentation_weight', 'psnr_weight', 'adversarial_weight',
                            'lovasz_weight', 'clip'), 0)


@dataclass(frozen=True)
class TrainConfig:
    """A whole recipe."""

    name: str
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    seed: int = 0
    stages: dict[str, StageConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is out of range."""
        _check_text('name', self.name)
        _check_range(self, ('seed',), 0, 2 ** 40)

    @classmethod
    def load(cls, path: Path | str) -> TrainConfig:
        """
        Read a recipe file.

        :raises ValueError: unknown keys or stages, naming them and the known ones.
        :raises OSError: the file cannot be read.
        """
        try:
            values = yaml.safe_load(Path(path).read_text('utf-8'))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f'{path} is not YAML: {error}') from error
        if not isinstance(values, dict):
            raise ValueError(f'{path} is not a recipe: expected a mapping with at least "name"')
        stages = {}
        given = values.pop('stages', None) or {}
        if not isinstance(given, dict):
            raise ValueError(f'{path}: stages must be a mapping, got {given!r}')
        for name, stage in given.items():
            # a stage's name may carry a variant after a dash: adapt-clean, attend-uniform
            if str(name).split('-')[0] not in STAGES:
                raise ValueError(f'{path}: unknown stage {name!r}: expected '
                                 f'{", ".join(STAGES)}, or one of them with -VARIANT')
            stages[name] = _build(StageConfig, stage or {}, f'{path}: stages.{name}')
        return _build(cls, {**values, 'stages': stages}, str(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the record in a checkpoint."""
        return asdict(self)


def _build(kind: type, values: dict[str, Any], where: str) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f'{where} must be a mapping, got {values!r}')
    known = {f.name: f for f in fields(kind)}
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise ValueError(f'{where}: unknown {", ".join(unknown)}; known are {", ".join(known)}')
    built = {}
    for key, value in values.items():
        default = (known[key].default_factory() if callable(known[key].default_factory)
                   else known[key].default)
        if is_dataclass(default) and not is_dataclass(value):
            value = _build(type(default), value, f'{where}.{key}')
        else:
            value = converted(value, default, f'{where}.{key}')
        built[key] = value
    missing = [key for key, f in known.items() if key not in built
               and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ValueError(f'{where}: {", ".join(missing)} is missing')
    try:
        return kind(**built)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error


def converted(value: Any, default: Any, where: str) -> Any:
    """Value of the default's type: YAML reads 1e-3 as text. ValueError naming the key."""
    wanted = type(default)
    try:
        if isinstance(default, tuple):
            if not isinstance(value, (list, tuple)) or (default and len(value) != len(default)):
                raise ValueError
            return tuple(converted(v, default[0], where) if default else v for v in value)
        if wanted is bool or isinstance(value, bool):
            if not (wanted is bool and isinstance(value, bool)):
                raise ValueError
        elif wanted is float:
            return float(value)
        elif wanted is int:
            if float(value) != int(float(value)):
                raise ValueError
            return int(float(value))
        elif wanted in (str, dict) and not isinstance(value, wanted):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f'{where} is {value!r}: expected something like {default!r}') from None
    return value


def decisive(config: TrainConfig, stage: str) -> dict[str, Any]:
    """Return what of a recipe decides on a stage's weights, as the checkpoint holds it."""
    recipe = config.to_dict()
    chosen = recipe['stages'][stage]
    for key in ('validate_every', 'save_every'):
        del chosen[key]
    del recipe['data']['validation_stride']
    return json.loads(json.dumps({'model': recipe['model'], 'data': recipe['data'],
                                  'seed': recipe['seed'], 'stages': {stage: chosen}}))


def differences(begun: Any, now: Any, where: str = '') -> list[str]:
    """Lines that name what differs between the recipe of a checkpoint and the one given."""
    if isinstance(begun, dict) and isinstance(now, dict):
        return [line for key in {**begun, **now}
                for line in differences(begun.get(key), now.get(key),
                                         f'{where}.{key}' if where else key)]
    return [] if begun == now else [f'{where}: {begun} in the checkpoint, {now} in the recipe']


def _check_choice(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f'unknown {what} {value!r}: choose one of {", ".join(known)}')


def _check_text(what: str, *values: Any) -> None:
    for value in values:
        if not isinstance(value, str) or not value:
            raise ValueError(f'{what} holds {value!r}: expected text')


def _check_range(config: Any, names: tuple[str, ...], least: float, most: float = math.inf
                 ) -> None:
    for name in names:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            # NaN is in no range, infinity in none either
            if not least <= number <= most or math.isinf(number):
                raise ValueError(f'{name} is {number}: expected {least} or more' if
                                 math.isinf(most) else
                                 f'{name} is {number}: expected {least} to {most}')
