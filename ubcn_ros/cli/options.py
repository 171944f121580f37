# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that commands share, and their types: a wrong value is told before slow work begins."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ubcn_ros.bag_names import BAG_SUFFIXES, PROCESSED
from ubcn_ros.images.malformed import MAX_PIXELS, MIN_SIDE
from ubcn_ros.runtime.installed import DEFAULT_MODEL, EXPORTED

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


class Numbers(click.ParamType):
    """Whole numbers from 1 to a limit, separated by commas; '' for none."""

    name = 'numbers'

    def __init__(self, limit: int):
        self._limit = limit

    def convert(self, value: str, param: Any, ctx: Any) -> tuple[int, ...]:
        parts = value.split(',') if value else []
        if not all(part.isdecimal() and 1 <= int(part) <= self._limit for part in parts):
            self.fail(f'{value!r} is not numbers of 1 to {self._limit} with commas between them',
                      param, ctx)
        return tuple(int(part) for part in parts)


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
    model or a YAML file, or all but what ``replaces`` names; and what describes a processed bag
    or an export. Missing parent folders are for the command to make.

    :param file: it may be a file.
    :param folder: it may be a folder.
    :param suffixes: of the file, one of them; any when empty.
    :param replaces: suffixes of existing files that may be replaced; empty: ``suffixes``, or
        without these any but those of inputs.
    :param dash: it may be '-' for standard output.
    """

    def __init__(self, file: bool = True, folder: bool = False, suffixes: tuple[str, ...] = (),
                 replaces: tuple[str, ...] = (), dash: bool = False) -> None:
        super().__init__(file_okay=file, dir_okay=folder, allow_dash=dash, path_type=Path)
        self.suffixes, self.replaces = suffixes, replaces or suffixes

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        if not str(value):
            kinds = ['file'] * self.file_okay + ['folder'] * self.dir_okay
            self.fail(f"'' is not the path of a {' or '.join(kinds)}", param, ctx)
        path = super().convert(os.path.expanduser(value), param, ctx)
        suffix = path.suffix.lower()
        if str(path) == '-':
            if self.allow_dash:
                return path
            self.fail("'-' is no file, and standard output has the text: give the name of a file",
                      param, ctx)
        if self.suffixes and suffix not in self.suffixes:
            self.fail(f"'{path}' ends in none of {', '.join(self.suffixes)}", param, ctx)
        if os.path.isfile(path) and (
                path.name in (PROCESSED, EXPORTED) or suffix not in self.replaces and (
                    self.replaces or suffix in _INPUT_SUFFIXES)):
            self.fail(f"'{path}' would be overwritten, and is no file of results: give a path of "
                      'another name', param, ctx)
        device = os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
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
JSON = OutputType(replaces=('.json',))
JSON_OR_DASH = OutputType(replaces=('.json',), dash=True)
CSV = OutputType(replaces=('.csv',))
PAGE = OutputType(replaces=('.html', '.htm'))
OUTPUT_FOLDER = OutputType(file=False, folder=True)
OUTPUT_FILE_OR_FOLDER = OutputType(folder=True)
PICTURE = OutputType(suffixes=('.png', '.pdf', '.svg'))
VIDEO = OutputType(suffixes=('.mp4',))
RERUN = OutputType(suffixes=('.rrd',))


def once(_context: click.Context, _option: click.Parameter, values: tuple) -> tuple:
    """Drop repeated values of an option: they would be the same work again."""
    return tuple(dict.fromkeys(values))


def _rates(context: click.Context, option: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        rates = once(context, option, tuple(map(float, text.split(','))))
    except ValueError:
        raise click.BadParameter(f'{text!r} is not a list of numbers such as 0,50,150') from None
    wrong = [rate for rate in rates if not 0 <= rate <= 300]
    if wrong:
        raise click.BadParameter(f'{wrong[0]:g} mm/hr is outside 0..300')
    return rates


def _shared(*names: str, **usual: Any) -> Callable[..., Callable]:
    """
    Make an option that commands share.

    :param names, usual: what `click.option` is given.
    :return: a function that makes the decorator: its positional argument is the name of the
        command's parameter where it is another one, the others replace those of ``usual``.
    """
    def option(*parameter: str, **changes: Any) -> Callable:
        said = {'show_default': 'default' in usual, **usual, **changes}
        if said.get('multiple'):
            said.setdefault('callback', once)
        return click.option(names[0], *(parameter or names[1:]), **said)
    return option


model_option = _shared('--model', default=DEFAULT_MODEL,
                       help='Name of a model in models/, or path of a .safetensors file.')
partial_option = _shared('--allow-partial-model', 'allow_partial', is_flag=True,
                         help='Accept a model with parts that were never trained.')
device_option = _shared('--device', default='auto', type=DEVICE,
                        help='auto, cpu, cuda or cuda:N.')
precision_option = _shared('--precision', default='auto', type=PRECISION,
                           help='auto: fp16 on a GPU; on an x86 CPU bf16 if it has instructions '
                                'for it, else fp32.')
backend_option = _shared('--backend', default='auto', type=BACKEND,
                         help='auto: graphs on a GPU, eager on a CPU.')
fused_option = _shared('--fused/--no-fused', default=True,
                       help='On a GPU in half precision, let the backend graphs use fused '
                            'kernels where they are faster.')
autotune_option = _shared('--autotune/--no-autotune', default=True,
                          help='On a GPU, time competing kernels once and keep the choices; '
                               'or time nothing.')
iterations_option = _shared('--iterations', default=3, type=click.IntRange(1, 10),
                            help='T, steps of the loop: 1 is fastest.')
processing_option = _shared('--processing-size', default=-1, type=ProcessingSizeType(),
                            help='Short side in pixels at which images are labelled: 0 is the '
                                 "image's own, -1 the model's. Small images are enlarged at "
                                 'most twice.')
min_confidence_option = _shared('--min-confidence', default=0.0, type=Number(0, 1),
                                help='Label pixels with a lower probability as 255, '
                                     'unlabeled; 0 is off.')
convergence_option = _shared('--convergence', default=0.0, type=Number(0, 255),
                             help='Stop the loop for an image once a step changes it by less '
                                  'than this, the mean over all values on 0..255; 0 is off.')
rain_option = _shared('--rain', default='rendered', type=click.Choice(['rendered', 'painted']),
                      help='rendered: drops and veil by the physics of the rate; painted: '
                           'strong slanted streaks without a veil that cost about as much '
                           'PSNR.')
size_option = _shared('--size', default='1024x512', type=SIZE, help='WIDTHxHEIGHT, pixels.')
threads_option = _shared('--threads', type=COUNT, help='CPU threads  [default: all cores].')
data_option = _shared('--data', required=True,
                      type=InputType(exists=True, path_type=Path),
                      help='Data set: a YAML file, or a folder in a known layout.')
split_option = _shared('--split', help='Split of the data set  [default: val, or the only one].')
only_option = _shared('--only', multiple=True, metavar='PREFIX',
                      help='Use only images whose names begin with this; may be repeated.')
rates_option = _shared('--rates', default='0,50,150,250', callback=_rates,
                       help='Rain rates in mm/hr.')
stride_option = _shared('--stride', default=1, type=click.IntRange(1),
                        help='Take every n-th image.')
limit_option = _shared('--limit', type=click.IntRange(1), help='Take at most this many images.')
rain_workers_option = _shared('--workers', default=0, type=click.IntRange(0, 1024),
                              help='Processes that render rain; 0 renders in this process, '
                                   'between images.')
topics_option = _shared('--topics', multiple=True, metavar='PATTERN',
                        help='Only topics that match this pattern, where * matches anything; '
                             'may be repeated.')
exclude_option = _shared('--exclude', multiple=True, metavar='PATTERN',
                         help='Leave out topics that match this pattern; may be repeated.')
start_option = _shared('--start', default=0.0, type=Number(0, LONGEST_S),
                       help='Start this many seconds after the beginning of the bag.')
duration_option = _shared('--duration', type=Number(0, LONGEST_S, min_open=True),
                          help='Length in seconds  [default: up to the end of the bag].')
json_option = _shared('--json', 'json_path', type=JSON,
                      help='Also write the figures to this file.')
fps_option = _shared('--fps', 'rate_hz', default=15.0, type=Number(0, 1000, min_open=True),
                     help='Frame rate at which the images of a folder make a video.')
video_option = _shared('--video', type=VIDEO,
                       help='Write input, derained image and labels side by side to this MP4.')
picture_option = _shared('--picture', type=PICTURE)


def several(*options: Callable) -> Callable[[Callable], Callable]:
    """Make one decorator of several that add options, which the help lists in this order."""
    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command
    return decorate


def collected(name: str, build: Callable[..., Any], *options: Callable) -> Callable:
    """
    Make a decorator that adds options of which the command gets one value.

    :param name: of the command's parameter.
    :param build: makes the value of all that the options gave, by name.
    :param options: decorators that add options.
    """
    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def run(**given: Any) -> Any:
            value = build(**{key: given.pop(key) for key in names})
            return command(**given, **{name: value})

        before = len(getattr(run, '__click_params__', ()))
        several(*options)(run)
        names = [parameter.name for parameter in run.__click_params__[before:]]
        return run
    return decorate


engine_options = several(
    model_option(), device_option(), precision_option(), fused_option(), autotune_option(),
    iterations_option(), convergence_option(), processing_option(), min_confidence_option(),
    partial_option())
"""Options that choose an engine (see `load_engine`), and the number of steps."""


def load_engine(**options: Any) -> Any:
    """
    Load the Engine that `engine_options` choose; warn of parts that were never trained.

    :param options: what they gave, without the number of steps: arguments of `Engine.load`.
    """
    from ubcn_ros.cli.output import warn
    from ubcn_ros.runtime import Engine
    engine = Engine.load(**options)
    warn(engine.info.untrained_text())
    return engine
