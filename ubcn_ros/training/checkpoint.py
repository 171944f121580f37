# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a stage: everything that a stopped training goes on with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from ubcn_ros.runtime.cache import kept_while_unchanged, written_to
from ubcn_ros.stopping import signals_held
from ubcn_ros.training.plain_values import differences

CHECKPOINT = 'last.ckpt'


@dataclass(frozen=True)
class CheckpointInfo:
    """
    What a checkpoint says beside its tensors.

    :param settings: what decides on the stage's weights, in plain values.
    :param start: hash of what the stage started from, None for random weights.
    :param optimizer_step: that the stage has come to.
    :param validated: whether it has a best network yet.
    """

    settings: dict[str, Any]
    start: str | None
    optimizer_step: int
    validated: bool


def save_checkpoint(fabric: Fabric, path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    with signals_held():
        try:
            with written_to(partial):
                fabric.save(partial, state)
        except Exception:  # half of it would take what is left of a full disk
            partial.unlink(missing_ok=True)
            raise
        if fabric.is_global_zero:
            os.replace(partial, path)
    fabric.barrier()


def load_checkpoint(fabric: Fabric, path: Path, state: dict[str, Any]) -> None:
    """
    Read a checkpoint into a state of the same names; no pickled code is run.

    :raises ValueError: it is damaged; or of other 'settings' than the state, naming what differs.
    """
    check_settings(path, state['settings'])
    try:
        fabric.load(path, state, strict=True, weights_only=True)
    except Exception as error:  # torch raises what it likes for a damaged file
        raise _damaged(path, error) from error


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """
    Check that a checkpoint is of a run of these settings.

    :raises ValueError: it is damaged, or of other settings, naming what differs.
    """
    if changed := differences(checkpoint_info(path).settings, settings):
        raise ValueError(f'{path} is of another recipe, data or start: {"; ".join(changed)}: '
                         'resume with the recipe, data, --precision and --steps that it was '
                         f'begun with, or start again with --overwrite --stage {path.parent.name}')


@kept_while_unchanged  # a run looks at those of all stages several times before it starts
def checkpoint_info(path: Path) -> CheckpointInfo:
    """Read a checkpoint without its tensors; no pickled code is run. ValueError if damaged."""
    try:
        whole = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        return CheckpointInfo(whole['settings'], whole['settings'].get('start'),
                              whole['optimizer_step'], bool(whole['best']))
    except Exception as error:  # torch raises what it likes for a damaged file
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f'{path} is damaged, or not a checkpoint of this version: remove it, or '
                      f'choose another output folder ({error!r})')
