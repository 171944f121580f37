# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark node`: a running node under load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command, refuse_options
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
from ubcn_ros.cli.output import progress_bar, save_json, saving
from ubcn_ros.cli.param_types import Number
from ubcn_ros.text_table import counted, table

if TYPE_CHECKING:
    from ubcn_ros.benchmark.node_load import Load

_NO_ANSWER = 3  # exit code

Columns = dict[str, dict[str, Any]]
"""Figures by title."""


@click.command(cls=Command)
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(1),
              help='Images to send; 10000 are enough to see whether memory grows.')
@size_option(default='640x480', help='WIDTHxHEIGHT of the images, pixels.')
@click.option('--rate', 'rate_hz', default=30.0, show_default=True,
              type=Number(0, 1e4, min_open=True), help='Images per second and camera.')
@click.option('--peak', is_flag=True,
              help='Search for the highest rate at which less than 1 % is dropped, starting '
                   'at --rate.')
@click.option('--cameras', multiple=True, default=(1,), show_default=True,
              type=click.IntRange(1, 16), callback=once,
              help='Number of cameras, each with its own sending process; may be repeated: the '
                   'numbers are measured one after the other and shown side by side.')
@click.option('--mask-only', is_flag=True, help='Subscribe to the mask only, not to the '
                                                'derained images.')
@click.option('--stand-in', type=Number(0), metavar='MS',
              help='Replace the network by a stand-in that takes MS milliseconds per image '
                   'and no CPU time, as a GPU would; its outputs are random.')
@model_option()
@device_option()
@iterations_option()
@processing_option()
@click.option('--transport', default='shared-memory', show_default=True,
              type=click.Choice(['shared-memory', 'default']),
              help='Fast DDS with the profile config/fastdds.xml, or as it is by default.')
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
    if stand_in is not None:
        refuse_options(('model', 'device', 'iterations', 'processing_size'),
                       '--stand-in takes the place of the network')
    if peak:
        refuse_options(('frames',), '--peak sends images for a few seconds at each rate')
    from ubcn_ros.bags.live.client import NoAnswerError
    from ubcn_ros.bags.live.node_process import ReplayError
    from ubcn_ros.benchmark.node_load import Load
    load = Load(frames, *size, rate_hz, _model(model, stand_in), device, iterations,
                transport == 'shared-memory', processing_size, cameras[0], mask_only)
    measure, columns = _peak if peak else _stream, {}

    def save() -> None:
        (first, *_) = columns.values()
        save_json(json_path, {'by_cameras': columns} if len(cameras) > 1 else first,
                  _text(columns, stand_in), (picture, lambda path: _draw(path, columns)))

    try:
        with saving(columns, save):
            for title, each in _loads(load, cameras).items():
                columns[title] = measure(each)
    except ReplayError as error:
        failure = click.ClickException(str(error))
        if isinstance(error, NoAnswerError):
            failure.exit_code = _NO_ANSWER
        raise failure from error


def _loads(load: Load, cameras: tuple[int, ...]) -> dict[str, Load]:
    """Return what is to be measured, by the titles of the columns."""
    if len(cameras) > 1:
        return {counted(count, 'camera'): replace(load, cameras=count) for count in cameras}
    return {'shared memory' if load.shared_memory else 'default transport': load}


def _text(columns: Columns, stand_in: float | None) -> str:
    """Lay out the table, and what is to be known of its columns."""
    parts = [side_by_side(columns)]
    if stand_in is not None:
        parts.append(f'the engine is a stand-in that takes {stand_in:g} ms for an image: these '
                     'are figures of the node around it, not of a network')
    return '\n'.join([*parts, *(latency_line(title, column['latency_bound_ms'])
                                for title, column in columns.items()
                                if 'latency_bound_ms' in column)])


def _draw(path: Path, columns: Columns) -> None:
    from ubcn_ros.images.plots import stacked_bars
    stacked_bars(path, [(title, {stage: times['p50'] for stage, times in
                                 column['stages_ms'].items()})
                        for title, column in columns.items()],
                 'median of each stage, ms')


def _model(model: str, stand_in: float | None) -> str:
    """Return what the node is to be given as its model."""
    if stand_in is not None:
        from ubcn_ros.benchmark.stand_in import stand_in_model
        return stand_in_model(stand_in)
    from ubcn_ros.runtime import load_model
    from ubcn_ros.runtime.model_info import PARTS
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
