# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Go on where an interrupted run ended, with the same settings alone."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ubcn_ros.bag_names import PROCESSED
from ubcn_ros.bags.errors import BagError, exists_error
from ubcn_ros.bags.messages import CAMERA_INFO
from ubcn_ros.bags.process.lock import locked
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.process.sidecar import read_sidecar
from ubcn_ros.whole_files import PARTIAL

_OF_ENGINE = ('model', 'device', 'precision', 'backend')  # what comes of these counts
_OPTION_NAMES = {'cameras': 'topic', 'split_bytes': 'split_size', 'split_ns': 'split_duration',
                 'start_s': 'start', 'duration_s': 'duration'}
_FREE = ('split_size', 'split_duration')  # may change: messages are the same in any file
_FLAGS = {'allow_partial': 'allow_partial_model'}  # where they differ from the names of settings


def settings_of(job: Job, engine: Any) -> dict[str, Any]:
    """
    Return all that outputs depend on, named as the options of the command; plain values.

    :param engine: as loaded: its model's hash, device, precision and backend count.
    """
    options = asdict(job.options)
    chosen = {name: value for name, value in options.pop('engine') if name not in _OF_ENGINE}
    values = {
        'model': engine.info.sha256, 'device': engine.device.type, 'precision': engine.precision,
        'backend': engine.backend, **chosen,
        **{_OPTION_NAMES.get(name, name): value for name, value in options.items()},
        **{f'IN {camera.topic}': camera.messages for camera in job.cameras},
        **{f'IN {skipped.topic}': 'left out' for skipped in job.skipped
           if skipped.type == CAMERA_INFO},
        **{f'IN {name}': getattr(job, name) for name in ('begin_ns', 'start_ns', 'end_ns')}}
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()}


def find_interrupted(out: Path, settings: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """
    Return the sidecar of an interrupted, or finished, run; None to begin at the beginning.

    :param settings: those of now.
    :param resume: whether to go on with what is there.
    :raises BagError: something else is there, it was made with other settings, or it cannot be
        continued.
    :raises BagLocked: without `resume`, another process writes it.
    """
    if not out.exists() and not out.is_symlink():
        return None
    document = read_sidecar(out)
    if not resume:
        with locked(out) if out.is_dir() else nullcontext():  # else its run goes on
            if document is None or document['finished']:
                raise exists_error(out)
            raise BagError(f'bag {out} cannot be written: it exists already, as an interrupted '
                           'run left it; go on with it (--resume), or remove it')
    if document is None and _is_bare(out):
        shutil.rmtree(out)
        return None
    if document is None:
        raise BagError(f'{out} cannot be continued: it has no {PROCESSED} of bag process, '
                       'so that it is not known how it was made; give another path, or remove it')
    check_settings(out, document.get('settings', {}), settings)
    return document


def check_settings(out: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise BagError where an interrupted run had other settings; the text names the first."""
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old == new or name in _FREE:
            continue
        of_bag = name.startswith('IN ')
        option = name if of_bag else f'--{_FLAGS.get(name, name).replace("_", "-")}'
        if not of_bag and (name in before) != (name in now):
            raise BagError(f'{out} cannot be continued: it was made '
                           f'{"with" if name in before else "without"} {option}, as by another '
                           'version: go on with that, or give another path for the outputs')
        raise BagError(f'{out} cannot be continued: {option} was {old!r} and is {new!r} now; give '
                       'the same, or another path for the outputs')


def _is_bare(out: Path) -> bool:
    """Say whether a run was killed between making the folder and its first process.json."""
    return out.is_dir() and not out.is_symlink() and all(
        path.suffix == PARTIAL or (path.suffix == '.mcap' and not path.lstat().st_size)
        for path in out.iterdir())
