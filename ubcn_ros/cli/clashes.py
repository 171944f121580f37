# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Refuse commands that would write over what they read, or twice to one file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.options import OutputType

if TYPE_CHECKING:
    from ubcn_ros.data.scenes import Scene


def check_clashes(context: click.Context) -> None:
    """
    Compare the files of a call with each other, before anything is read or written.

    :raises click.UsageError: an output is an input, too, or another output, or a picture or video
        that is there lies in a folder that is read.
    """
    inputs: dict[str, str] = {}
    outputs: list[tuple[click.Parameter, Path]] = []
    for param in context.command.params:
        for path in _paths(context.params.get(param.name)):
            if isinstance(param.type, OutputType):
                outputs.append((param, Path(path)))
            elif os.path.exists(path) and (
                    isinstance(param.type, click.Path) or not os.path.isdir(path)):
                # a text may name a file, as a model; a folder that is called so is chance
                inputs[os.path.realpath(path)] = _name(param)
    written: dict[str, str] = {}
    for param, path in outputs:
        real, name = os.path.realpath(path), _name(param)
        shown = ' '.join(str(path).split())
        if str(path) == '-' or os.path.exists(path) and not os.path.isfile(path):
            continue  # folders are the commands' own matter; devices hold nothing
        if other := inputs.get(real) or written.get(real):
            raise click.UsageError(f'{name} and {other} are the same, {shown}: give {name} '
                                   'another name')
        written[real] = name
        if param.type.suffixes and os.path.isfile(path):
            for folder, other in inputs.items():
                if os.path.isdir(folder) and Path(real).is_relative_to(folder):
                    raise click.UsageError(f'{name} would replace {shown}, which lies in what '
                                           f'{other} reads: give it a place of its own')


def check_kept(scenes: Iterable[Scene], *outputs: Path | None) -> None:
    """Raise click.UsageError where an output is one of the files of scenes of a data set."""
    kept = {os.path.realpath(path) for scene in scenes for path in (
        scene.image_path, scene.label_path, scene.depth_path, scene.rainy_path) if path}
    for output in filter(None, outputs):
        if os.path.realpath(output) in kept:
            raise click.UsageError(f'{output} is a file of the data set, and would be '
                                   'overwritten: give another name')


def _paths(value: Any) -> Iterator[str | Path]:
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _paths(part)
    elif isinstance(value, (str, Path)) and str(value):
        yield value


def _name(param: click.Parameter) -> str:
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
