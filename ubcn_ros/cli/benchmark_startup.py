# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark startup`: a fresh process to its first result."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    backend_option,
    device_option,
    iterations_option,
    json_option,
    model_option,
    precision_option,
    processing_option,
    size_option,
    threads_option,
)
from ubcn_ros.cli.output import save_json


@click.command(cls=Command)
@model_option()
@device_option()
@precision_option()
@backend_option()
@size_option()
@iterations_option()
@processing_option()
@click.option('--runs', default=3, show_default=True, type=click.IntRange(1),
              help='Starts, after a first one that fills the caches.')
@threads_option()
@json_option('json_path')
def startup(model: str, device: str, precision: str, backend: str, size: tuple[int, int],
            iterations: int, processing_size: int, runs: int, threads: int | None,
            json_path: Path | None) -> None:
    """Time a fresh process to its first result."""
    from ubcn_ros.benchmark.startup import start_once
    from ubcn_ros.runtime import find_model
    from ubcn_ros.runtime.export.folder import is_exported
    from ubcn_ros.text_table import table
    if not is_exported(model):
        find_model(model)  # for its error, which the fresh process would take seconds to make
    rows = [start_once(model=model, device=device, precision=precision, backend=backend,
                       threads=threads, width=size[0], height=size[1], iterations=iterations,
                       processing_size=processing_size)
            for _ in range(runs + 1)]
    names = ('cold', *(f'warm {n}' for n in range(1, runs + 1)))
    click.echo(table(('seconds', *(key.replace('_', ' ') for key in rows[0])),
                     [(name, *(f'{value:.2f}' for value in row.values()))
                      for name, row in zip(names, rows, strict=True)]))
    save_json(json_path, [{'start': name, **row} for name, row in zip(names, rows, strict=True)])
