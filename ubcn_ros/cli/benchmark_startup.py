# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark startup`: a fresh process to its first frame, and whether starts agree."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from ubcn_ros.cli.output import save_json, saving


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
    from ubcn_ros.benchmark.startup import start_repeatedly
    from ubcn_ros.runtime import load_model
    from ubcn_ros.runtime.export.folder import is_exported, read_exported
    # for their errors, which the fresh process would take seconds to make
    (read_exported if is_exported(model) else load_model)(model)
    rows: list[dict[str, Any]] = []
    with saving(rows, lambda: save_json(json_path, rows, _text(rows))):
        for row in start_repeatedly(runs + 1, lambda line: click.echo(f'{line} ...', err=True),
                                    model=model, width=size[0], height=size[1], **chosen):
            rows.append(row)
    if _different(rows):
        sys.exit(1)


def _different(rows: Sequence[dict[str, Any]]) -> int:
    """Count the starts whose outputs are others than the first one's."""
    return sum(row['outputs'] != rows[0]['outputs'] for row in rows)


def _text(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out the table, and say whether the starts agree."""
    from ubcn_ros.benchmark.startup import PHASES
    from ubcn_ros.text_table import table
    keys = (*PHASES, 'first_result')
    figures = table(
        ('seconds', *(key.replace('_', ' ') for key in keys), 'kernels timed', 'outputs'),
        [(row['start'], *(f'{row[key]:.2f}' for key in keys), str(row['timed']),
          row['outputs'][:12]) for row in rows])
    different = _different(rows)
    verdict = (f'{different} of {len(rows)} starts give other outputs than the first'
               if different else f'all {len(rows)} starts give the same outputs, bit for bit')
    return f'{rows[0]["backend"]} on {rows[0]["device"]}\n\n{figures}\n\n{verdict}'
