# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.param_types import (
    BACKEND,
    COUNT,
    DEVICE,
    JSON,
    LONGEST_S,
    PICTURE,
    PRECISION,
    SIZE,
    VIDEO,
    InputType,
    Number,
    ProcessingSizeType,
)
from ubcn_ros.runtime.installed import DEFAULT_MODEL


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
                       help='Let the backend graphs on a GPU in half precision use fused kernels '
                            'where they are faster, and eager and graphs on a CPU those of '
                            'oneDNN.')
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
