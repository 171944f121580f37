# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark startup`: a fresh process to its first frame, and whether starts agree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    autotune_option,
    backend_option,
    device_option,
    fused_option,
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
@fused_option()
@autotune_option()
@size_option()
@iterations_option()
@processing_option()
@click.option('--runs', default=3, show_default=True, type=click.IntRange(1),
              help='Number of starts after the first one, which has empty caches.')
@threads_option()
@json_option()
def startup(model: str, size: tuple[int, int], runs: int, json_path: Path | None, **chosen: Any
            ) -> None:
    """
    Time a fresh process up to its first frame, by phase, and compare the outputs of the starts.

    The first start finds empty caches, later ones what it left there: compiled kernels and choices
    of kernels. The caches belong to this command and are removed with it. Each process warms up as
    the node does, then labels a fixed image. The exit code is 1 unless all starts give the same
    outputs, bit for bit.
    """
    from ubcn_ros.benchmark.startup import PHASES, start_repeatedly
    from ubcn_ros.runtime import load_model
    from ubcn_ros.runtime.export.folder import is_exported, read_exported
    from ubcn_ros.text_table import table
    # for their errors, which the fresh process would take seconds to make
    (read_exported if is_exported(model) else load_model)(model)
    rows = start_repeatedly(runs + 1, lambda line: click.echo(f'{line} ...', err=True),
                            model=model, width=size[0], height=size[1], **chosen)
    keys = (*PHASES, 'first_result')
    figures = table(
        ('seconds', *(key.replace('_', ' ') for key in keys), 'kernels timed', 'outputs'),
        [(row['start'], *(f'{row[key]:.2f}' for key in keys), str(row['timed']),
          row['outputs'][:12]) for row in rows])
    different = sum(row['outputs'] != rows[0]['outputs'] for row in rows)
    verdict = (f'{different} of {len(rows)} starts give other outputs than the first'
               if different else f'all {len(rows)} starts give the same outputs, bit for bit')
    save_json(json_path, rows, f'{rows[0]["backend"]} on {rows[0]["device"]}\n\n{figures}\n\n'
                               f'{verdict}')
    if different:
        sys.exit(1)
