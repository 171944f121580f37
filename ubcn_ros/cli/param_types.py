# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Types of the values that options and arguments take: a wrong one is told before slow work."""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import click

from ubcn_ros.bag_names import BAG_SUFFIXES, PROCESSED
from ubcn_ros.images.malformed import MAX_PIXELS, MIN_SIDE
from ubcn_ros.runtime.installed import EXPORTED

PRECISION = click.Choice(['auto', 'fp32', 'bf16', 'fp16'])
BACKEND = click.Choice(['auto', 'eager', 'graphs', 'compiled', 'onnxruntime'])
PRESET = click.Choice(['light', 'paper', 'wide'])
BASELINE = click.Choice(['ddn', 'rescan', 'prenet', 'jorder-e', 'rcdnet'])
COUNT = click.IntRange(1, 1024)
"""A number of threads, processes, devices or machines."""
LONGEST_S = 1e10
"""Most seconds of an option; nanoseconds in 64 bits hold nearly twice as many."""
_INPUT_SUFFIXES = (*BAG_SUFFIXES, '.zstd', '.safetensors', '.yaml', '.yml')


class DeviceType(click.ParamType):
    """'auto', 'cpu', 'cuda' or 'cuda:N'; a GPU must be there."""

    name = 'device'

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        """Return the text; PyTorch is asked, and imported, for a GPU alone."""
        from ubcn_ros.runtime.checks import check_device_name
        try:
            check_device_name(value)
            if value.startswith('cuda'):
                from ubcn_ros.runtime.device import resolve_device
                resolve_device(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


class SizeType(click.ParamType):
    """WIDTHxHEIGHT in pixels, to (width, height): within what images may have."""

    name = 'size'

    def convert(self, value: str, param: Any, ctx: Any) -> tuple[int, int]:
        found = re.fullmatch('([0-9]{1,5})x([0-9]{1,5})', value.lower())
        size = (int(found[1]), int(found[2])) if found else (0, 0)
        if min(size) < MIN_SIDE or math.prod(size) > MAX_PIXELS:
            self.fail(f"'{value}' is not WIDTHxHEIGHT of at least {MIN_SIDE}x{MIN_SIDE} and "
                      f'at most {MAX_PIXELS} pixels, like 1024x512', param, ctx)
        return size


class Number(click.FloatRange):
    """A number within a range; neither NaN, which lies in every range, nor infinity."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f'{value} is not a finite number', param, ctx)
        return number


class ProcessingSizeType(click.ParamType):
    """-1, 0, or a short side in pixels."""

    name = 'pixels'

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        from ubcn_ros.runtime.processing import check_processing_size
        try:
            number = int(value)
        except ValueError:
            self.fail(f"'{value}' is not an integer", param, ctx)
        try:
            check_processing_size(number)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return number


class RainRateType(click.ParamType):
    """A rain rate in mm/hr, or two with a colon between; to both ends of a ramp."""

    name = 'mm/hr'

    def convert(self, value: str, param: Any, ctx: Any) -> tuple[float, float]:
        try:
            first, last = map(float, value.split(':') if ':' in value else (value, value))
        except ValueError:
            self.fail(f"'{value}' is not a rain rate like 50, nor two like 0:150", param, ctx)
        for rate in (first, last):
            if not 0 <= rate <= 300:
                self.fail(f'{rate:g} mm/hr is outside 0..300', param, ctx)
        return first, last


class InputType(click.Path):
    """Path of what is there; `~` is home after the = of an option, too, where shells leave it."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return super().convert(os.path.expanduser(value), param, ctx)


class OutputType(click.Path):
    """
    Path of a file or folder to write; refused before the work if it cannot be written.

    An existing file that cannot be an earlier result is not overwritten: by its suffix, a bag, a
    model or a YAML file; and what describes a processed bag or an export. Missing parent folders
    are for the command to make.

    :param file: it may be a file.
    :param folder: it may be a folder.
    :param suffixes: of the file, one of them; any when empty.
    :param text: what is written is text: a device or a pipe, which have no suffix, takes it, too.
    :param dash: it may be '-' for standard output.
    """

    def __init__(self, file: bool = True, folder: bool = False, suffixes: tuple[str, ...] = (),
                 text: bool = False, dash: bool = False) -> None:
        super().__init__(file_okay=file, dir_okay=folder, allow_dash=dash, path_type=Path)
        self.suffixes, self.text = suffixes, text

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        if not str(value):
            kinds = ['file'] * self.file_okay + ['folder'] * self.dir_okay
            self.fail(f"'' is not the path of a {' or '.join(kinds)}", param, ctx)
        path = super().convert(os.path.expanduser(value), param, ctx)
        suffix = path.suffix.lower()
        if str(path) == '-':
            if self.allow_dash:
                return path
            self.fail("'-' is not a file, and standard output has the text: give the name of a "
                      'file', param, ctx)
        if os.path.isfile(path) and (
                path.name in (PROCESSED, EXPORTED)
                or suffix in _INPUT_SUFFIXES and suffix not in self.suffixes):
            self.fail(f"'{path}' would be overwritten, and is not a results file: give a path of "
                      'another name', param, ctx)
        device = os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
        if self.suffixes and suffix not in self.suffixes and not (device and self.text):
            self.fail(f"'{path}' ends in none of {', '.join(self.suffixes)}", param, ctx)
        there = path if os.path.isdir(path) or not self.file_okay else path.parent
        while not os.path.lexists(there) and there != there.parent:
            there = there.parent
        if not there.is_dir():
            self.fail(f"'{path}' cannot be written: {there} is not a folder", param, ctx)
        try:
            with contextlib.suppress(FileNotFoundError):
                path.lstat()  # a name that cannot be one
            # asking for permission says nothing of a read-only or virtual file system
            with contextlib.nullcontext() if device else tempfile.TemporaryFile(dir=there):
                pass
            if os.path.exists(path) and not os.access(path, os.W_OK):
                raise PermissionError('the file is read-only')
        except OSError as error:
            self.fail(f"'{path}' cannot be written: {error.strerror or error} in {there}: "
                      'choose another place', param, ctx)
        return path


DEVICE = DeviceType()
SIZE = SizeType()
JSON = OutputType(suffixes=('.json',), text=True)
JSON_OR_DASH = OutputType(suffixes=('.json',), text=True, dash=True)
CSV = OutputType(suffixes=('.csv',), text=True)
PAGE = OutputType(suffixes=('.html', '.htm'), text=True)
OUTPUT_FOLDER = OutputType(file=False, folder=True)
OUTPUT_FILE_OR_FOLDER = OutputType(folder=True)
PICTURE = OutputType(suffixes=('.png', '.pdf', '.svg'))
VIDEO = OutputType(suffixes=('.mp4',))
RERUN = OutputType(suffixes=('.rrd',))
