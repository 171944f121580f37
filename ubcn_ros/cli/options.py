# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Types of options that commands share: a wrong value is told before anything slow begins."""

from __future__ import annotations

import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import click

from ubcn_ros.images.malformed import MAX_PIXELS, MIN_SIDE

PRECISION = click.Choice(['auto', 'fp32', 'bf16', 'fp16'])
BACKEND = click.Choice(['auto', 'eager', 'graphs', 'compiled', 'onnxruntime'])
COUNT = click.IntRange(1, 1024)
"""Of threads, devices or machines."""


class DeviceType(click.ParamType):
    """'auto', 'cpu', 'cuda' or 'cuda:N', and there."""

    name = 'device'

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        """Return the text; PyTorch is asked, and imported, for a GPU alone."""
        if not re.fullmatch('auto|cpu|cuda(:[0-9]{1,3})?', value):
            self.fail(f"unknown device {value!r}: choose 'auto', 'cpu', 'cuda' or 'cuda:N'",
                      param, ctx)
        if value.startswith('cuda'):
            from ubcn_ros.runtime.device import resolve_device
            try:
                resolve_device(value)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return value


class SizeType(click.ParamType):
    """WIDTHxHEIGHT in pixels, to (width, height): within what images may have."""

    name = 'size'

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Return the two numbers."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch('([0-9]{1,5})x([0-9]{1,5})', value.lower())
        size = (int(found[1]), int(found[2])) if found else (0, 0)
        if min(size) < MIN_SIDE or math.prod(size) > MAX_PIXELS:
            self.fail(f"'{value}' is not WIDTHxHEIGHT of at least {MIN_SIDE}x{MIN_SIDE} and "
                      f'at most {MAX_PIXELS} pixels, like 1024x512', param, ctx)
        return size


class Number(click.FloatRange):
    """A number within a range; neither NaN, which lies in every range, nor infinity."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f'{value} is not a finite number', param, ctx)
        return number


class OutputType(click.Path):
    """
    Path of a file or folder to write, which is told before the work if it cannot be written.

    Missing folders above it are for the command to make.

    :param folder: it is a folder.
    :param suffixes: of the file, one of them; any when empty.
    """

    def __init__(self, folder: bool = False, suffixes: tuple[str, ...] = ()) -> None:
        super().__init__(file_okay=not folder, dir_okay=folder, path_type=Path)
        self._folder, self._suffixes = folder, suffixes

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """Return the path."""
        if not str(value):
            self.fail(f"'' is not the path of a {'folder' if self._folder else 'file'}", param,
                      ctx)
        path = super().convert(value, param, ctx)
        if self._suffixes and path.suffix.lower() not in self._suffixes:
            self.fail(f"'{path}' ends in none of {', '.join(self._suffixes)}", param, ctx)
        there = path if self._folder else path.parent
        while not os.path.lexists(there) and there != there.parent:
            there = there.parent
        if not there.is_dir():
            self.fail(f"'{path}' cannot be written: {there} is not a folder", param, ctx)
        try:
            # asking for permission says nothing of a read-only or virtual file system
            with tempfile.TemporaryFile(dir=there):
                pass
            if path.is_file() and not os.access(path, os.W_OK):
                raise PermissionError('the file is read-only')
        except OSError as error:
            self.fail(f"'{path}' cannot be written: {error.strerror or error} in {there}", param,
                      ctx)
        return path


DEVICE = DeviceType()
SIZE = SizeType()
OUTPUT_FILE = OutputType()
OUTPUT_FOLDER = OutputType(folder=True)
PICTURE = OutputType(suffixes=('.png', '.pdf', '.svg'))
