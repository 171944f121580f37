# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a recipe describes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from ubcn_ros.labels import LabelSet
from ubcn_ros.network import UBCN, UBCNConfig, build
from ubcn_ros.training.config import ModelConfig, TrainConfig
from ubcn_ros.training.yaml_to_dataclass import converted


def model_config(config: TrainConfig, label_set: LabelSet, init: UBCNConfig | None = None
                 ) -> UBCNConfig:
    """
    Return the network of a recipe: its preset, or the network to start from, with its overrides.

    :param label_set: of the data.
    :param init: of the model that the training starts from, if there is one.
    :raises ValueError: an unknown preset or override; neither a preset nor a model.
    """
    if config.model.preset:
        base = UBCNConfig.preset(config.model.preset, label_set)
    elif init is None:
        raise ValueError(f'the recipe {config.name!r} has no model.preset: give --init MODEL, '
                         'whose network it takes')
    else:
        base = replace(init, label_set=label_set)
    values: dict[str, Any] = base.to_dict()
    del values['label_set']  # of the data, not of a recipe
    if config.model.overrides.get('segmentation', base.segmentation) != base.segmentation:
        values['segmentation_options'] = {}  # they are of the other network
    for key, value in config.model.overrides.items():
        if key not in values:
            raise ValueError(f'overrides: unknown {key}; known are {", ".join(values)}')
        if key == 'derain' and isinstance(value, dict) and 'network' in value:
            values[key] = value  # a baseline: what IDM has is not of it, nor the veil before it
            if 'veil' not in config.model.overrides:
                values['veil'] = None
        elif key == 'veil':  # there may be none
            values[key] = value and _overridden(values[key] or {}, value, 'overrides.veil')
        else:
            values[key] = _overridden(values[key], value, f'overrides.{key}')
    try:
        return UBCNConfig.from_dict({**values, 'label_set': label_set.to_dict()})
    except (TypeError, ValueError) as error:
        raise ValueError(f'overrides: {error}') from error


def _overridden(value: Any, other: Any, where: str) -> Any:
    """Return the other value, in the type of the first; of a mapping what is in the other."""
    if isinstance(value, tuple):
        return other  # of any length; the network checks it
    if not isinstance(value, dict):
        return converted(other, value, where)
    return {**value, **{key: _overridden(value[key], more, f'{where}.{key}')
                        if key in value else more
                        for key, more in converted(other, value, where).items()}}


def built(config: TrainConfig, label_set: LabelSet, init: UBCNConfig | None = None) -> UBCN:
    """
    Build the network of a recipe, with random weights.

    :raises ValueError: as ``model_config``, or no network has such sizes or options.
    """
    try:
        network = build(model_config(config, label_set, init))
    except (TypeError, RuntimeError, ZeroDivisionError) as error:
        raise ValueError(f'overrides: the network cannot be built: {error}') from error
    initialize(network, config.model)
    network.estimates_rain = False  # until a stage trains the head
    return network


def initialize(module: nn.Module, config: ModelConfig, kept: nn.Module | None = None) -> None:
    """
    Draw the weights of a module as the recipe says: anew, or as they are for 'default'.

    'xavier' is Glorot and Bengio's normalized initialization (AISTATS 2010, equation 16), uniform
    with the variance 2 / (fan_in + fan_out), of every convolution, of those too that otherwise
    start at zero or at half the He gain, and 0 for its bias.

    :param kept: a part of the module that stays as it is.
    """
    if config.initialization == 'default':
        return
    others = set() if kept is None else set(kept.modules())
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer not in others:
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
