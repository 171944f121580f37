# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model file says of how it came about: the metadata that a training writes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ubcn_ros.runtime.cache import versions
from ubcn_ros.runtime.model_info import PARTS, ModelInfo

if TYPE_CHECKING:
    from ubcn_ros.data.scenes import DataSet, SceneList
    from ubcn_ros.network import UBCN, UBCNConfig
    from ubcn_ros.training.config import TrainConfig

_JOIN = '; '
_ORIGIN = ('data', 'license', 'init', 'trained_short_side', 'trained_derain_side',
           'trained_focal_length')


def model_record(optimizer_steps: int, validation: Mapping[str, float], *, command: str,
                 config: TrainConfig, stage: str, trained: Iterable[str],
                 data: Sequence[Mapping[str, Any]], license: str, init: Mapping[str, str] | None,
                 precision: str, estimates_rain: bool, trained_short_side: int | None,
                 trained_derain_side: int | None, trained_focal_length: float | None
                 ) -> dict[str, Any]:
    """
    Say how a model came about, in plain values for JSON.

    The same run says the same: there are no times, and no paths but those that were typed.

    :param optimizer_steps: that the stage has run.
    :param validation: figures by name; one that is not finite is None.
    :param command: as of ``cli.commands.typed_command``.
    :param stage: that trained last; ``trained`` are the parts that it and those before it did.
    :param data: one of ``data_record`` for each data set.
    :param license: as of ``joined_license``.
    :param init: 'name' and 'sha256' of the model that the training started from.
    :param precision: that it was trained in, as of Lightning's Fabric.
    :param estimates_rain: its rain head was trained.
    :param trained_short_side: pixels, of the images that the segmentation network was trained on,
        None where it was not.
    :param trained_derain_side: pixels, the largest short side of the images that IDM was trained
        on, None where nothing says.
    :param trained_focal_length: of the former's camera, in short sides, None where nothing says.
    """
    record = {
        'command': command, 'recipe': config.to_dict(), 'stage': stage,
        'trained': [part for part in PARTS if part in set(trained)],
        'estimates_rain': estimates_rain,
        'data': [dict(entry) for entry in data], 'license': license,
        'init': init, 'commit': source_commit(), 'versions': versions('torch', 'numpy'),
        'seed': config.seed, 'precision': precision, 'optimizer_steps': optimizer_steps,
        # the other stages do not unroll the loop
        'iterations': config.stages[stage].iterations if stage in ('attend', 'joint') else None,
        'trained_short_side': trained_short_side, 'trained_derain_side': trained_derain_side,
        'trained_focal_length': trained_focal_length,
        'validation': {name: float(value) if math.isfinite(value) else None
                       for name, value in validation.items()}}
    return json.loads(json.dumps(record))


def model_origin(info: ModelInfo) -> dict[str, Any]:
    """Return what a trained model's file says its weights come from."""
    return {key: info.metadata.get(key) for key in _ORIGIN}


def start_origin(info: ModelInfo | None) -> dict[str, Any]:
    """Return ``model_origin`` for what starts from a model, or with None from random weights."""
    if info is None:
        return dict.fromkeys(_ORIGIN)
    return {**model_origin(info), 'data': None,
            'init': {'name': info.name, 'sha256': info.sha256},
            'trained_short_side': info.trained_short_side,
            'trained_derain_side': (info.trained_derain_side if 'derain' in info.trained
                                    else None),
            'trained_focal_length': info.trained_focal_length}


def data_record(data_set: DataSet, sha256: str | None, labels: Mapping[str, str],
                trained: int) -> dict[str, Any]:
    """
    Say what a data set was: name, format, scenes by split, licence and hash, but not where.

    :param sha256: over its files, as ``ubcn data check`` says it; None where nobody read them.
    :param labels: its own of ``Data.meanings``.
    :param trained: scenes of the split train that are trained on.
    """
    return {'name': data_set.name, 'format': data_set.format, 'license': data_set.license,
            'counts': {split: trained if split == 'train' else
                       len(data_set.listing(split).scenes) for split in data_set.splits},
            'sha256': sha256, 'labels': dict(labels)}


def decisive_config(config: UBCNConfig) -> dict[str, Any]:
    """Return plain values of what decides on weights: not how the label set is called or shown."""
    values = json.loads(json.dumps(config.to_dict()))
    del values['label_set']['name'], values['label_set']['colors']
    return values


def network_hash(network: UBCN) -> str:
    """Return the SHA-256 of what ``decisive_config`` says and of the weights, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(decisive_config(network.config), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f'{name} {tensor.dtype} {list(tensor.shape)}'.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def scenes_record(scenes: SceneList) -> str:
    """Name scenes in a line, so that others are told from them."""
    return f'{scenes.name}, {scenes_digest(scenes)}'


def scenes_digest(scenes: SceneList) -> str:
    """Tell scenes from others by their names, whatever their data set is called."""
    names = hashlib.sha256(os.fsencode('\n'.join(s.name for s in scenes.scenes))).hexdigest()
    return f'{len(scenes)} scenes {names[:12]}'


def joined_license(licenses: Iterable[Any]) -> str:
    """
    Join the licences of the model to start from and of the data sets, each once.

    :param licenses: what each of them states, None or '' where it states none.
    :return: '' where none of them states one.
    """
    return _JOIN.join(dict.fromkeys(part for text in licenses for part in _parts(str(text or ''))))


def _parts(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(_JOIN.strip())) if part]


@cache
def source_commit() -> str:
    """
    Return the commit of this package's sources, or 'unknown' where they are not a checkout.

    As they are when it is first asked for: what runs then stays.
    """
    root = Path(__file__).parents[2]
    if not (root / '.git').exists():  # installed, maybe below a checkout of something else
        return 'unknown'
    try:
        return subprocess.run(['git', 'describe', '--always', '--dirty'], check=True, text=True,
                              capture_output=True, cwd=root).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
