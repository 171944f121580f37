# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark node`: a running node under load, on both transports side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command, refuse_options, typed_options
from ubcn_ros.cli.options import (
    device_option,
    iterations_option,
    json_option,
    model_option,
    once,
    picture_option,
    processing_option,
    size_option,
)
from ubcn_ros.cli.output import progress_bar, save_json
from ubcn_ros.cli.param_types import Number, Numbers
from ubcn_ros.text_table import counted, table

if TYPE_CHECKING:
    from ubcn_ros.benchmark.node_load import Load

_COMPARED = 300  # most frames of the run without shared memory
_NO_ANSWER = 3  # exit code

Columns = dict[str, dict[str, Any] | None]
"""Figures by title; None of a transport over which not one image came through."""


@click.command(cls=Command)
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(1),
              help='Images to send; 10000 are enough to see whether memory grows.')
@size_option(default='640x480', help='WIDTHxHEIGHT of the images, pixels.')
@click.option('--rate', 'rate_hz', default=30.0, show_default=True,
              type=Number(0, min_open=True), help='Images per second and camera.')
@click.option('--peak', is_flag=True,
              help='Search for the highest rate at which less than 1 % is dropped, starting '
                   'at --rate.')
@click.option('--cameras', default='1', show_default=True, type=Numbers(16), callback=once,
              metavar='N[,N...]',
              help='Number of cameras, each with its own sending process; several numbers are '
                   'measured one after the other and shown side by side.')
@click.option('--mask-only', is_flag=True, help='Subscribe to the mask only, not to the '
                                                'derained images.')
@click.option('--stand-in', type=Number(0), metavar='MS',
              help='Replace the network by a stand-in that takes MS milliseconds per image '
                   'and no CPU time, as a GPU would; its outputs are random.')
@model_option()
@device_option()
@iterations_option()
@processing_option()
@click.option('--transport', default='both', show_default=True,
              type=click.Choice(['both', 'shared-memory', 'default']),
              help='Fast DDS with the profile config/fastdds.xml, as it is by default, or both '
              f'side by side (by default with {_COMPARED} images at most; not for several '
              'numbers of cameras).')
@json_option()
@picture_option(help='Draw where the time of a frame goes, stage by stage.')
def node(frames: int, size: tuple[int, int], rate_hz: float, peak: bool,
         cameras: tuple[int, ...], mask_only: bool, stand_in: float | None, model: str,
         device: str, iterations: int, processing_size: int, transport: str,
         json_path: Path | None, picture: Path | None) -> None:
    """
    Measure a running node: rate, loss, latency and memory.

    Starts a node and sends it a stream of images over DDS. Every image is processed, dropped or
    malformed: the table says how many of each, how late and how old the outputs are, where a
    frame's time goes, how long each frame holds the GIL, and what resources the process uses. The
    exit code is 1 if the node ends, does not answer or miscounts, and 3 if no output of the first
    image comes within a minute; of several runs, those before are still shown and written.
    """
    if picture and peak:
        raise click.UsageError('--picture draws a stream: leave --peak away')
    if not cameras:
        raise click.UsageError('--cameras needs a number')
    typed = typed_options()
    if stand_in is not None:
        refuse_options(('model',), '--stand-in takes the place of the network')
    if peak and ('frames' in typed or (transport == 'both' and 'transport' in typed)):
        raise click.UsageError('--peak sends three seconds of images at each rate, by one '
                               'transport: leave --frames and --transport both away')
    if len(cameras) > 1 and transport == 'both' and 'transport' in typed:
        raise click.UsageError('several numbers of cameras are measured by one transport: give '
                               '--transport shared-memory or default')
    from ubcn_ros.bags.live.client import NoAnswerError
    from ubcn_ros.bags.live.node_process import ReplayError
    from ubcn_ros.benchmark.node_load import Load
    load = Load(frames, *size, rate_hz, _model(model, stand_in), device, iterations,
                transport != 'default', processing_size, cameras[0], mask_only)
    runs = _runs(load, cameras, peak, transport == 'both')
    columns: Columns = {}
    try:
        for title, run in runs.items():
            columns[title] = run()
    except ReplayError as error:
        failure = click.ClickException(str(error))
        if isinstance(error, NoAnswerError):
            failure.exit_code = _NO_ANSWER
        raise failure from error
    finally:  # what was measured is kept, whatever came of the rest
        if columns:
            save_json(json_path, _result(columns, len(cameras) > 1),
                      _text(columns, stand_in), (picture, lambda path: _draw(path, columns)))


def _runs(load: Load, cameras: tuple[int, ...], peak: bool, both: bool
          ) -> dict[str, Callable[[], dict[str, Any] | None]]:
    """Return what is to be measured, by the titles of the columns."""
    measure = _peak if peak else _stream
    if len(cameras) > 1:
        return {counted(count, 'camera'): partial(
            measure, replace(load, cameras=count)) for count in cameras}
    if peak:
        return {'peak': partial(_peak, load)}
    first = 'shared memory' if load.shared_memory else 'default transport'
    return {first: partial(_stream, load),
            **({'default transport': partial(_default_transport, load)} if both else {})}


def _result(columns: Columns, by_cameras: bool) -> dict[str, Any]:
    """Lay out the columns as they are written to JSON."""
    if by_cameras:
        return {'by_cameras': columns}
    first, *other = columns.values()
    return {**first, 'without_shared_memory': other[0]} if other else first


def _text(columns: Columns, stand_in: float | None) -> str:
    """Lay out the table, and what is to be known of its columns."""
    there = {title: column for title, column in columns.items() if column}
    parts = [*(f'{title}: nothing to compare, not one image came through'
               for title in columns.keys() - there.keys()), side_by_side(there)]
    if stand_in is not None:
        parts.append(f'the engine is a stand-in that takes {stand_in:g} ms for an image: these '
                     'are figures of the node around it, not of a network')
    return '\n'.join([*parts, *(latency_line(title, column['latency_bound_ms'])
                                for title, column in there.items()
                                if 'latency_bound_ms' in column)])


def _draw(path: Path, columns: Columns) -> None:
    from ubcn_ros.images.plots import stacked_bars
    stacked_bars(path, [(title, {stage: times['p50'] for stage, times in
                                 column['stages_ms'].items()})
                        for title, column in columns.items() if column],
                 'median of each stage, ms')


def _model(model: str, stand_in: float | None) -> str:
    """Return what the node is to be given as its model."""
    if stand_in is not None:
        from ubcn_ros.benchmark.stand_in import stand_in_model
        return stand_in_model(stand_in)
    from ubcn_ros.runtime import load_model
    from ubcn_ros.runtime.weights import PARTS
    return str(load_model(model, PARTS)[1].path)


def _peak(load: Load) -> dict[str, Any]:
    from ubcn_ros.benchmark.node import find_peak

    def show(trial: dict[str, Any]) -> None:
        click.echo(f"{trial['rate_hz']:g} Hz, sent at {trial['rate_in_hz']:g} Hz: "
                   f"{trial['dropped']} of {trial['sent']} dropped", err=True)

    return find_peak(load, show)


def _stream(load: Load) -> dict[str, Any]:
    from ubcn_ros.benchmark.node import stream
    with progress_bar(total=load.frames * load.cameras) as bar:
        return stream(load, bar.update)


def _default_transport(load: Load) -> dict[str, Any] | None:
    """
    Measure without shared memory.

    None where not even a first image comes through, as happens to images of megabytes.
    """
    from ubcn_ros.bags.live.client import NoAnswerError
    try:
        return _stream(replace(load, frames=min(load.frames, _COMPARED), shared_memory=False))
    except NoAnswerError:
        return None


def side_by_side(columns: dict[str, dict[str, Any]]) -> str:
    """Lay out results side by side, a column per title and a row per figure of the first."""
    flat = [dict(_flat(column)) for column in columns.values()]
    return table(('', *columns), [
        (name, *('-' if each.get(name) is None else str(each[name]) for each in flat))
        for name in flat[0]])


def _flat(value: Any, name: str = '', depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield figures of nested dictionaries with their names; no lists, as trials of a peak are."""
    if not isinstance(value, (dict, list)):
        yield name, value
    elif isinstance(value, dict) and depth:
        for key, part in value.items():
            yield from _flat(part, f'{name} {key}'.strip(), depth - 1)


def latency_line(title: str, latency: dict[str, Any]) -> str:
    """Say whether the pipeline latency of published frames stays within its bound."""
    if latency['within'] is None:
        return f'{title}: latency of published frames not measured'
    return (f'{title}: latency of every published frame at most one frame period plus one '
            f"inference: {'pass' if latency['within'] else 'FAIL'}, {latency['max']:.1f} ms at "
            f"most, allowed {latency['period']:.1f} + {latency['inference']:.1f} ms")
