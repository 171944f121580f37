# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark startup`: from the start of a process to its first result."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import BACKEND, COUNT, DEVICE, OUTPUT_FILE, PRECISION, SIZE


def probe(arguments: dict[str, Any]) -> dict[str, float]:
    """
    Do what the fresh process does: import, load, two frames.

    :return: when each was done, on the monotonic clock that all processes share.
    """
    import numpy as np
    import torch

    from ubcn_ros.runtime import Engine
    if arguments['threads']:
        torch.set_num_threads(arguments['threads'])
    marks = {'imported': time.monotonic()}
    engine = Engine.load(*(arguments[key] for key in ('model', 'device', 'precision', 'backend')),
                         allow_partial=True)
    marks['loaded'] = time.monotonic()
    image = np.zeros((arguments['height'], arguments['width'], 3), np.uint8)
    for name in ('first', 'second'):
        engine(image, arguments['iterations'])
        marks[name] = time.monotonic()
    return marks


def start_once(**arguments: Any) -> dict[str, float]:
    """
    Start a fresh interpreter and have it load a model and process two blank images.

    :param arguments: model, device, precision, backend, threads, height, width and iterations.
    :return: seconds: 'import', 'load', 'first_frame', their sum 'first_result', and
        'second_frame' beside it.
    :raises ValueError: the process failed; its last line says why.
    """
    begun = time.monotonic()
    done = subprocess.run([sys.executable, '-m', __spec__.name, json.dumps(arguments)],
                          capture_output=True, text=True)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ['no message'])[-1])
    marks = json.loads(done.stdout.splitlines()[-1])
    return {'import': marks['imported'] - begun, 'load': marks['loaded'] - marks['imported'],
            'first_frame': marks['first'] - marks['loaded'],
            'first_result': marks['first'] - begun,
            'second_frame': marks['second'] - marks['first']}


@click.command(cls=Command)
@click.option('--model', default='ubcn-light-camvid', show_default=True,
              help='Name of a shipped model, or a model file.')
@click.option('--device', default='auto', show_default=True, type=DEVICE,
              help='auto, cpu, cuda or cuda:N.')
@click.option('--precision', default='auto', show_default=True, type=PRECISION)
@click.option('--backend', default='auto', show_default=True, type=BACKEND)
@click.option('--size', default='1024x512', show_default=True, type=SIZE,
              help='WIDTHxHEIGHT, pixels.')
@click.option('--iterations', default=3, show_default=True, type=click.IntRange(1, 10),
              help='Steps of the loop.')
@click.option('--runs', default=3, show_default=True, type=click.IntRange(1),
              help='Starts, after a first one that fills the caches.')
@click.option('--threads', type=COUNT, help='CPU threads [default: all cores].')
@click.option('--json', 'json_path', type=OUTPUT_FILE,
              help='Write the figures to this file, too.')
def startup(model: str, device: str, precision: str, backend: str, size: tuple[int, int],
            iterations: int, runs: int, threads: int | None, json_path: Path | None) -> None:
    """Time the start of the engine, from a fresh interpreter to the first result."""
    from ubcn_ros.evaluation.report import table, write_json
    from ubcn_ros.runtime import find_model
    from ubcn_ros.runtime.export.folder import is_exported
    if not is_exported(model):
        find_model(model)  # for its error, which the fresh process would take seconds to make
    rows = [start_once(model=model, device=device, precision=precision, backend=backend,
                       threads=threads, width=size[0], height=size[1], iterations=iterations)
            for _ in range(runs + 1)]
    names = ('cold', *(f'warm {n}' for n in range(1, runs + 1)))
    click.echo(table(('seconds', *(key.replace('_', ' ') for key in rows[0])),
                     [(name, *(f'{value:.2f}' for value in row.values()))
                      for name, row in zip(names, rows, strict=True)]))
    if json_path:
        write_json(json_path, [{'start': name, **row}
                               for name, row in zip(names, rows, strict=True)])
        click.echo(f'wrote {json_path}')


if __name__ == '__main__':
    print(json.dumps(probe(json.loads(sys.argv[1]))))
