# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What commands show and write: progress, warnings, and figures as JSON.

Text tables are `ubcn_ros.text_table.table`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from ubcn_ros.cli.commands import as_line

_SHOWN = 100


def progress_bar(items: Iterable[Any] | None = None, total: int | None = None,
                 unit: str = 'images') -> Any:
    """Return tqdm's bar, a context manager; off a terminal it shows nothing."""
    from tqdm import tqdm
    return tqdm(items, total=total, unit=f' {unit}', disable=None)  # None: silent off a terminal


def bar_updater(bar: Any) -> Callable[[int, int], None]:
    """Return a function that sets a bar to how many of how many are done."""
    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
    return update


def warn(text: str | None) -> None:
    """Print a warning, if there is a text."""
    if text:
        click.echo(f'Warning: {text}', err=True)


def say_error(text: str) -> None:
    """Print what went wrong on one line, where the work goes on."""
    click.echo(f'Error: {as_line(text)}', err=True)


def say_errors(lines: Sequence[str]) -> None:
    """Print what went wrong as ``say_error``: the first hundred lines, then how many are left."""
    for line in lines[:_SHOWN]:
        say_error(line)
    if more := len(lines[_SHOWN:]):
        say_error(f'and {more} more')


def save_json(path: Path | None, figures: Any) -> None:
    """Write figures where the user wants them, and say so; to standard output for '-'."""
    if path is not None and str(path) == '-':
        from ubcn_ros.evaluation.report import json_text
        click.echo(json_text(figures), nl=False)
    elif path is not None:
        from ubcn_ros.evaluation.report import write_json
        write_json(path, figures)
        click.echo(f'wrote {path}')


def exit_stopped(stop: Any, written: str, out: Path) -> NoReturn:
    """Say what there is in spite of a signal, and exit as a shell expects."""
    click.echo(f'Stopped by {stop}: ' + (f'{written} written to {out}' if out.exists()
                                         else f'{out} was not made'), err=True)
    sys.exit(stop.exit_code)
