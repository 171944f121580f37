# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Look at data before hours are spent on them, as ``ubcn data check`` does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ubcn_ros.cli.clashes import check_kept
from ubcn_ros.cli.commands import as_line
from ubcn_ros.cli.output import bar_updater, progress_bar
from ubcn_ros.text_table import counted, listed

if TYPE_CHECKING:
    from ubcn_ros.data.mixture import Data
    from ubcn_ros.data.scenes import Scene
    from ubcn_ros.labels import LabelSet

_SHOWN = 5  # findings
_USED = ('train', 'val')  # splits


def open_kept(paths: Sequence[Path], label_set: LabelSet | None = None, model: str = '') -> Data:
    """
    Open data sets, as ``open_data``, whose files the running command does not write over.

    :param model: that the label set is of, as typed.
    :raises click.UsageError: it would.
    """
    from ubcn_ros.data.mixture import open_data
    data = open_data(paths, label_set, f'the model {model}'.rstrip())
    check_kept(click.get_current_context(), data)
    return data


def checked_fingerprints(data: Data, paths: Sequence[Path]) -> dict[str, str]:
    """
    Look for faults in data before they are trained on for long, and print what is found.

    :param paths: as they were typed.
    :return: hashes of the files of every set, by its name.
    :raises click.ClickException: the splits train and val have errors.
    """
    from ubcn_ros.data.check.check import check_data
    first = os.environ.get('LOCAL_RANK', '0') == '0'  # the others of a run would say the same
    with progress_bar() as bar:
        report = check_data(data, bar_updater(bar), _USED)
    shown = report.errors or report.warnings
    if shown and first:
        for found in shown[:_SHOWN]:
            click.echo(as_line(str(found)), err=True)
        click.echo(f'{report.summary()}; all of them: '
                   + shlex.join(['ubcn', 'data', 'check', *map(str, paths)]), err=True)
    if report.errors:
        raise click.ClickException('the data have errors: see above, and mend them')
    return report.fingerprints


def check_readable(scenes: Sequence[Scene]) -> None:
    """
    Read scenes before they are measured for long: a broken one would end that without a figure.

    :raises click.ClickException: some cannot be read; the first of them are named.
    """
    from ubcn_ros.data.files import DataSetError
    broken = []
    with progress_bar(scenes) as bar:
        for scene in bar:
            try:
                scene.read()
            except DataSetError as error:
                broken.append(str(error))
    if broken:
        raise click.ClickException(f'{len(broken)} of {counted(len(scenes), "image")} cannot be '
                                   f'measured, mend them: {listed(broken, _SHOWN, "; ")}')
