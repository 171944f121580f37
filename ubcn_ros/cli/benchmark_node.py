# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `ubcn benchmark node`: options, both transports side by side, and the table."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from ubcn_ros.bags.client import NoAnswerError, ReplayError
from ubcn_ros.benchmark.chaos import chaos
from ubcn_ros.benchmark.node import Load, fuzz, stream
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import DEVICE, OUTPUT_FILE, SIZE, Number

_COMPARED = 300  # most frames of the run without shared memory
_NO_ANSWER = 3  # exit code


def table(columns: dict[str, dict[str, Any]]) -> str:
    """Lay out results side by side, one column per title."""
    def text(value: Any) -> str:
        return '-' if value is None else str(value)

    rows = []
    for key in next(iter(columns.values())):
        cells = [column.get(key) for column in columns.values()]
        if isinstance(cells[0], dict):
            rows += [(f'{key} {part}', *(text((cell or {}).get(part)) for cell in cells))
                     for part in cells[0]]
        else:
            rows.append((key, *map(text, cells)))
    rows.insert(0, ('', *columns))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(
        row[1:], widths[1:], strict=True))]).rstrip() for row in rows]
    return '\n'.join(lines)


def age_line(title: str, age: dict[str, Any]) -> str:
    """Say whether the age of published frames stays within its bound."""
    if age['within'] is None:
        return f'{title}: age of published frames not measured'
    return (f'{title}: age of every published frame at most one frame period plus one inference: '
            f"{'pass' if age['within'] else 'FAIL'}, {age['max']:.1f} ms at most, allowed "
            f"{age['period']:.1f} + {age['inference']:.1f} ms")


def _without_shared_memory(load: Load) -> dict[str, Any] | None:
    """
    Measure in another process: Fast DDS reads its profile once in each.

    None where not even a first image comes through, as happens to images of megabytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / 'result.json'
        run = subprocess.run(
            [sys.executable, '-m', 'ubcn_ros.cli', 'benchmark', 'node', '--transport', 'default',
             '--frames', str(min(load.frames, _COMPARED)), '--json', str(result),
             '--size', f'{load.width}x{load.height}', '--rate', str(load.rate_hz),
             '--model', load.model, '--device', load.device,
             '--iterations', str(load.iterations)],
            check=False, stdout=subprocess.DEVNULL)
        if run.returncode == _NO_ANSWER:
            return None
        run.check_returncode()
        return json.loads(result.read_text())


@click.command(cls=Command)
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(1),
              help='Images to send; 10000 show whether memory grows.')
@click.option('--size', default='640x480', show_default=True, type=SIZE,
              help='WIDTHxHEIGHT of the images, pixels.')
@click.option('--rate', 'rate_hz', default=30.0, show_default=True,
              type=Number(0, min_open=True), help='Images per second.')
@click.option('--model', default='ubcn-light-camvid', show_default=True,
              help='Name in models/, or path of a .safetensors file.')
@click.option('--device', default='auto', show_default=True, type=DEVICE,
              help='auto, cpu, cuda or cuda:N.')
@click.option('--iterations', default=3, show_default=True, type=click.IntRange(1, 10),
              help='Steps of derain and segment.')
@click.option('--transport', default='both', show_default=True,
              type=click.Choice(['both', 'shared-memory', 'default']),
              help='Fast DDS with the profile config/fastdds.xml, as it is by default, or both '
              f'side by side (by default with {_COMPARED} images at most).')
@click.option('--fuzz', 'messages', type=click.IntRange(2), metavar='N',
              help='Send N malformed messages instead, half of them compressed.')
@click.option('--chaos', 'steps', type=click.IntRange(1), metavar='N',
              help='Take N random steps instead: lifecycle requests, parameters, malformed '
              'messages.')
@click.option('--json', 'json_path', type=OUTPUT_FILE,
              help='Write the figures to this file, too.')
def node(frames: int, size: tuple[int, int], rate_hz: float, model: str, device: str,
         iterations: int, transport: str, messages: int | None, steps: int | None,
         json_path: Path | None) -> None:
    """
    Start a node and measure it under a stream of images, over DDS.

    Every image is processed, dropped or malformed: the table says how many, how late the outputs
    are, how old they get, and what the process uses. The exit code is 1 where the node ends,
    does not answer or miscounts, and 3 where no output of a first image comes within a minute.
    """
    if messages and steps:
        raise click.UsageError('--fuzz and --chaos are two runs: give one of them')
    from ubcn_ros.runtime import load_model
    load = Load(frames, *size, rate_hz, str(load_model(model)[1].path), device, iterations,
                transport != 'default')
    try:
        if steps:
            result: dict[str, Any] = chaos(steps, load.model, device)
            columns = {'chaos': result}
        elif messages:
            small = Load(model=load.model, device=device, iterations=1, width=64, height=64)
            columns = {name: fuzz(half, name == 'compressed', small) for name, half in (
                ('raw', messages - messages // 2), ('compressed', messages // 2))}
            result = {'fuzz': columns, 'sent': messages, **{
                name: sum(column[name] for column in columns.values())
                for name in ('processed', 'dropped', 'malformed')}}
        else:
            result = stream(load)
            columns = {'shared memory' if load.shared_memory else 'default transport': result}
            if transport == 'both':
                other = _without_shared_memory(load)
                if other is None:
                    click.echo('default transport: nothing to compare, not one image came through')
                else:
                    columns['default transport'] = other
                result = {**result, 'without_shared_memory': other}
    except (ReplayError, subprocess.CalledProcessError) as error:
        failure = click.ClickException(str(error))
        if isinstance(error, NoAnswerError):
            failure.exit_code = _NO_ANSWER
        raise failure from error
    click.echo(table(columns))
    if not messages and not steps:
        for name, column in columns.items():
            click.echo(age_line(name, column['age_ms']))
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(result, indent=2) + '\n')
        click.echo(f'Figures: {json_path}')
