# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a stage: everything that a stopped training goes on with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from ubcn_ros.runtime.cache import kept_while_unchanged, written_to
from ubcn_ros.stopping import signals_held
from ubcn_ros.training.plain_values import differences

CHECKPOINT = 'last.ckpt'


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


def check_settings(path: Path, settings: dict[str, Any]) -> dict[str, float]:
    """
    Check that a checkpoint is of a run of these settings; no pickled code is run.

    :return: step and quality of the best validation until then, empty before the first.
    :raises ValueError: it is damaged, or of other settings, naming what differs.
    """
    try:
        begun = _said(path)
        best, changed = begun['best'], differences(begun['settings'], settings)
    except Exception as error:  # torch raises what it likes for a damaged file
        raise _damaged(path, error) from error
    if changed:
        raise ValueError(f'{path} is of another recipe, data or start: {"; ".join(changed)}: '
                         'resume with the recipe, data, --precision and --steps that it was '
                         f'begun with, or start again with --overwrite --stage {path.parent.name}')
    return best


def started_from(path: Path) -> str | None:
    """Return the hash of what a checkpoint's stage started from; no pickled code is run."""
    return _said(path)['settings']['start']


@kept_while_unchanged  # a run looks at those of all stages several times before it starts
def _said(path: Path) -> dict[str, Any]:
    """Read a checkpoint without its tensors."""
    whole = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    return {key: whole[key] for key in ('settings', 'best')}


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f'{path} is damaged, or not a checkpoint of this version: remove it, or '
                      f'choose another output folder ({error!r})')
