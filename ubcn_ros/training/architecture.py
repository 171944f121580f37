# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a recipe describes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ubcn_ros.labels import LabelSet
from ubcn_ros.network import UBCN, UBCNConfig, build
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.plain_values import converted


def model_config(config: TrainConfig, label_set: LabelSet, init: UBCNConfig | None = None
                 ) -> UBCNConfig:
    """
    Network of a recipe: its preset, or else the network to start from, with its overrides.

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
            values[key] = value  # a baseline: what IDM has is not of it
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
        return build(model_config(config, label_set, init))
    except (TypeError, RuntimeError, ZeroDivisionError) as error:
        raise ValueError(f'overrides: the network cannot be built: {error}') from error
