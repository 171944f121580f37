# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The one JSON file of a study: written after every piece, so that the same command goes on.

It has 'command', the one that began it, 'settings', with which all of it was found, 'seconds' that
all runs of the command together have taken until it was last written, and the study's figures. One
that draws single images is made anew each time: its seconds are those of one run.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ubcn_ros.json_files import as_written, write_json
from ubcn_ros.training.yaml_to_dataclass import differences


class StudyResults(dict):
    """What a study has found, and how long it has taken, those runs that it goes on with too."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._before, self._start = self.setdefault('seconds', 0.0), time.monotonic()

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all, and its folder; 'seconds' are those until now."""
        self['seconds'] = round(self._before + time.monotonic() - self._start, 1)
        write_json(path, self)


def open_results(path: Path, command: str, settings: Mapping[str, Any],
                 figures: Mapping[str, Any],
                 read: Callable[[StudyResults], object] = lambda _: None) -> StudyResults:
    """
    Return what a study has found so far, or the same with nothing found yet.

    :param path: of the file, which need not be there.
    :param settings: plain values that everything in the file has in common.
    :param figures: those of a study that has found nothing, by name.
    :param read: reads the figures as the study does when it is done: what it cannot read is said
        before the work.
    :return: 'command', 'settings', 'seconds' and the figures.
    :raises ValueError: the file is not a study's, or of one with other settings, which are named;
        its figures cannot be read.
    """
    settings = json.loads(json.dumps(settings))
    if not path.is_file():
        return StudyResults({'command': command, 'settings': settings, **figures})
    results = StudyResults(read_results(path))
    check_same(path, results['settings'], settings, 'is of a study with other settings')
    with as_written(path, f'ubcn study {path.stem}'):
        for name, empty in figures.items():
            if not isinstance(results[name], type(empty)):
                raise TypeError(f'{name} is {results[name]!r}')
        read(results)
    return results


def check_same(path: Path, begun: Mapping[str, Any], now: Mapping[str, Any], told: str) -> None:
    """
    Check that what a study was begun with is what it is asked to go on with.

    :param path: of the file.
    :param begun, now: plain values by name.
    :param told: of the file, where they differ.
    :raises ValueError: they differ in what ``decisive`` leaves of them.
    """
    with as_written(path, f'ubcn study {path.stem}'):
        begun = decisive(begun)
    if changed := differences(begun, decisive(now)):
        raise ValueError(f'{path} {told}: {"; ".join(changed)}: choose another --out')


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what of settings decides on figures, as `train --resume` compares it.

    Data sets go by their places; what they, their scenes and a label set are called, and its
    colours, are a record only.
    """
    values = {name: value for name, value in settings.items() if name != 'data'}
    given = {name for name, value in values.items() if value is not None}
    for name in {'files', 'labels'} & given:
        values[name] = {str(place): of_set for place, of_set in
                        enumerate(values[name].values(), 1)}
    for name in {'training', 'scenes'} & given:  # as of ``training.record.scenes_record``
        values[name] = values[name].rpartition(', ')[2]
    if values.get('label_set'):
        values['label_set'] = {name: value for name, value in values['label_set'].items()
                               if name not in ('name', 'colors')}
    return values


def _with_infinite_psnr(values: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON makes of the PSNR of equal images, which have an SSIM, unlike NaN."""
    if values.get('psnr', 0) is None and values.get('ssim') is not None:
        return {**values, 'psnr': math.inf}
    return values


def read_results(path: Path) -> dict[str, Any]:
    """
    Read the file of a study; its figures are as they are, a PSNR of null is infinite again.

    :raises ValueError: it is not one.
    :raises OSError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text('utf-8'), object_hook=_with_infinite_psnr)
    except ValueError as error:
        raise ValueError(f'{path} is not JSON: {error}: move it away or choose another '
                         'folder') from error
    if not isinstance(found, dict) or not isinstance(found.get('settings'), dict):
        raise ValueError(f'{path} is not the results of a study: it has no settings: move it '
                         'away or choose another folder')
    if not isinstance(found.get('seconds'), (int, float)):
        raise ValueError(f'{path} is not the results of a study: its seconds are '
                         f'{found.get("seconds")!r}: move it away or choose another folder')
    return found
