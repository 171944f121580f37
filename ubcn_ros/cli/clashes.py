# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Refuse commands that would write over what they read, or twice to one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.param_types import OutputType

if TYPE_CHECKING:
    from ubcn_ros.data.mixture import Data


def check_clashes(context: click.Context) -> None:
    """
    Compare the files of a call with each other, before anything is read or written.

    :raises click.UsageError: an output is an input, too, or another output, or a picture or video
        that is there lies in a folder that is read.
    """
    inputs: dict[str, str] = {}
    for param in context.command.params:
        for path in _paths(context.params.get(param.name)):
            if not isinstance(param.type, OutputType) and os.path.exists(path) and (
                    isinstance(param.type, click.Path) or not os.path.isdir(path)):
                # a text may name a file, as a model; a folder that is called so is chance
                inputs[os.path.realpath(path)] = _name(param)
    written: dict[str, str] = {}
    for param, path in _files(context):
        real, name = os.path.realpath(path), _name(param)
        shown = ' '.join(str(path).split())
        if other := inputs.get(real) or written.get(real):
            raise click.UsageError(f'{name} and {other} are the same, {shown}: give {name} '
                                   'another name')
        written[real] = name
        if param.type.suffixes and not param.type.text and os.path.isfile(path):
            for folder, other in inputs.items():
                if os.path.isdir(folder) and Path(real).is_relative_to(folder):
                    raise click.UsageError(f'{name} would replace {shown}, which lies in what '
                                           f'{other} reads: give it a place of its own')


def check_kept(context: click.Context, data: Data) -> None:
    """
    Compare the files of a call with those that data sets are made of, in all of their splits.

    :raises click.UsageError: an output is one of them.
    """
    outputs = [(param, path) for param, path in _files(context) if os.path.isfile(path)]
    if not outputs:  # as mostly: to list all splits takes its time
        return
    kept = {os.path.realpath(path): dataset.name for dataset in data.sets
            for path in set(dataset.all_files())}
    for param, path in outputs:
        if name := kept.get(os.path.realpath(path)):
            raise click.UsageError(f'{_name(param)} would replace {path}, which is a file of the '
                                   f'data set {name}: give another name')


def _files(context: click.Context) -> Iterator[tuple[click.Parameter, Path]]:
    """Outputs of a call; folders are the commands' own matter, and devices hold nothing."""
    for param in context.command.params:
        if isinstance(param.type, OutputType):
            for path in map(Path, _paths(context.params.get(param.name))):
                if str(path) != '-' and (os.path.isfile(path) or not os.path.exists(path)):
                    yield param, path


def _paths(value: Any) -> Iterator[str | Path]:
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _paths(part)
    elif isinstance(value, (str, Path)) and str(value):
        yield value


def _name(param: click.Parameter) -> str:
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
