# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a stage: everything that a stopped training goes on with."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric

from ubcn_ros.runtime.weights import load_model
from ubcn_ros.stopping import signals_held
from ubcn_ros.training.record import network_hash
from ubcn_ros.training.yaml_to_dataclass import differences
from ubcn_ros.whole_files import errors_named

CHECKPOINT = 'last.ckpt'

T = TypeVar('T')


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
            with errors_named(partial, only_nameless=True):
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


def check_settings(path: Path, settings: dict[str, Any], said: Mapping[str, str] | None = None
                   ) -> None:
    """
    Check that a checkpoint is of a run of these settings.

    :param said: as of ``differences``.
    :raises ValueError: it is damaged, or of other settings, naming what differs.
    """
    if changed := differences(checkpoint_info(path).settings, settings, said=said):
        raise ValueError(f'{path} is of another recipe, data or start: {"; ".join(changed)}: '
                         'resume with the recipe, data, --precision and --steps that it was '
                         f'begun with, or {starting_again(path.parent.name)}')


def starting_again(stage: str) -> str:
    """Say how what cannot go on in a stage is trained again: later stages start from it."""
    return (f'start again with --overwrite, or with --overwrite --stage {stage}, and then each '
            'later stage likewise')


def kept_while_unchanged(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Let a function that reads a file keep what it returned until the file is written again."""
    @functools.lru_cache(maxsize=16)
    def kept(path: Path, *_version: int) -> T:
        return read(path)

    @functools.wraps(read)
    def found(path: Path) -> T:
        now = path.stat()
        return kept(path, now.st_ino, now.st_mtime_ns, now.st_size)

    return found


@kept_while_unchanged  # a run looks at those of all stages several times before it starts
def checkpoint_info(path: Path) -> CheckpointInfo:
    """Read a checkpoint without its tensors; no pickled code is run. ValueError if damaged."""
    try:
        whole = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        return CheckpointInfo(whole['settings'], whole['settings'].get('start'),
                              whole['optimizer_step'], bool(whole['best']))
    except Exception as error:  # torch raises what it likes for a damaged file
        raise _damaged(path, error) from error


@kept_while_unchanged  # a run asks for those of all stages several times, too
def file_hash(path: Path) -> str:
    """Return the ``network_hash`` of a model file; ModelFileError where it is none."""
    return network_hash(load_model(path)[0])


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f'{path} is damaged, or not a checkpoint of this version: remove it, or '
                      f'choose another output folder ({error!r})')
