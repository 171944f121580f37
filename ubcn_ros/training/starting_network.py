# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a stage of training starts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ubcn_ros.labels import LabelSet
from ubcn_ros.network import UBCN, UBCNConfig
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.weights import load_model
from ubcn_ros.training.architecture import built, model_config
from ubcn_ros.training.config import TrainConfig
from ubcn_ros.training.matching_weights import init_table, start_from, trained_after
from ubcn_ros.training.record import decisive_config
from ubcn_ros.training.sam_from_idm import start_from_derain
from ubcn_ros.training.stages import STAGE_CLASSES
from ubcn_ros.training.yaml_to_dataclass import differences


@dataclass(frozen=True)
class Start:
    """
    What a stage starts from.

    :param network: with those weights.
    :param trained: parts of it that were trained.
    :param text: in words; ``details`` say more, and are empty where there is no more.
    """

    network: UBCN
    trained: tuple[str, ...]
    text: str
    details: str = ''


def starting_network(config: TrainConfig, label_set: LabelSet, stage: str, before: Path | None,
                     init: tuple[UBCN, ModelInfo] | None) -> Start:
    """
    Make the network that a stage starts with; the same at every call.

    SAM takes IDM's weights where a stage is about to train it and nothing has before.

    :param label_set: of the data.
    :param before: best model of the stage before, None where there is none.
    :param init: model to start from otherwise, None for random weights.
    :raises ValueError: ``before`` is of another network than the recipe and the data ask for; as
        of ``built`` and ``start_from_derain``.
    """
    torch.manual_seed(config.seed)
    if before is not None:
        start = _from_stage(before, model_config(config, label_set, init and init[0].config),
                            init and init[1])
    elif init is not None:
        start = _from_model(config, label_set, init)
    else:
        start = Start(built(config, label_set), (), 'random weights')
    if (stage in ('attend', 'joint') and 'attention' not in start.trained
            and config.stages[stage].warm_start):
        start_from_derain(start.network)
        start = replace(start, details=f"{start.details}SAM starts from IDM's weights, in the "
                        'place of any that it took\n')
    return start


def warm_started(config: TrainConfig, label_set: LabelSet, init: tuple[UBCN, ModelInfo] | None
                 ) -> str:
    """Return the stage of a recipe in which SAM starts from IDM's weights; '' for none."""
    trained = _from_model(config, label_set, init).trained if init else ()
    stage = next((name for name in config.stages if name in ('attend', 'joint')), '')
    warm = stage and 'attention' not in trained and config.stages[stage].warm_start
    return stage if warm else ''


def untrained_warning(start: Start, stages: Sequence[str]) -> str:
    """
    Say which parts attend would need that nothing has trained by then; '' where it has them all.

    :param start: of the first of the stages.
    :param stages: that are to be trained one after the other.
    """
    if 'attend' not in stages:
        return ''
    before = stages[:stages.index('attend')]
    trained = {*start.trained, *(part for name in before for part in STAGE_CLASSES[name].trained)}
    missing = [part for part in ('derain', 'segmentation') if part not in trained]
    if not missing:
        return ''
    until = 'before joint ' if 'joint' in stages else ''
    return (f'\nwarning: attend needs {" and ".join(missing)}, which nothing has trained by then: '
            f'{until}no model for the node comes of it')


def unestimated_rain(start: Start, config: TrainConfig, stages: Sequence[str]) -> str:
    """
    Say that the result will not estimate the rain, where its network could; '' otherwise.

    :param start, stages: as of ``untrained_warning``.
    """
    network = start.network
    if network.rain_head is None or network.estimates_rain or any(
            STAGE_CLASSES[name].trains_rain(network, config.stages[name]) for name in stages):
        return ''
    return ('\nthe rain will not be estimated: no stage that is trained has a rain_weight above 0 '
            'and samples with rendered rain (derain and joint can)')


def _from_model(config: TrainConfig, label_set: LabelSet, init: tuple[UBCN, ModelInfo]) -> Start:
    """Take what fits of a model."""
    source, info = init
    network = built(config, label_set, source.config)
    rows = start_from(network, source, info.trained)
    network.estimates_rain = (
        network.rain_head is not None and info.estimates_rain
        and not any(name.startswith('rain_head.') for row in rows for name in row.anew))
    return Start(network, trained_after(rows, info.trained), info.name,
                 f'{init_table(rows)}\n')


def _from_stage(path: Path, wanted: UBCNConfig, init: ModelInfo | None) -> Start:
    network, info = load_model(path)
    changed = differences(decisive_config(network.config), decisive_config(wanted))
    if changed:
        raise ValueError(f'{path} is of another network than the recipe or the data ask for: '
                         f'{"; ".join(changed)}: give those that it was trained with, or train '
                         'all again with --overwrite')
    network.config = wanted  # with the names and colours that the data have now
    begun = info.metadata.get('init') or {}
    unused = init is not None and begun.get('sha256') != init.sha256
    stage = path.parent.name
    return Start(network, info.trained, f'the best of {stage}',
                 f'the weights of {init.name} are not used: {stage} is trained, and did not start '
                 'from them\n' if unused else '')
