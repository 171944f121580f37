# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What commands show and write: progress, warnings, and figures as text and in files.

Text tables are `ubcn_ros.text_table.table`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from ubcn_ros.cli.commands import as_line

_SHOWN = 100


def has_cursor() -> bool:
    """Tell whether errors go to a terminal on which lines can be written over."""
    return sys.stderr.isatty() and os.environ.get('TERM', 'dumb') != 'dumb'


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


def say(text: str) -> None:
    """
    Print what is going on.

    On standard error: a reader of standard output that goes away, as `head` does, then ends no
    work before its files are there.
    """
    click.echo(text, err=True)


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


def save_json(path: Path | None, figures: Any, text: str | None = None,
              *files: tuple[Path | None, Callable[[Path], object]]) -> None:
    """
    Write figures where the user wants them, then print the text of them, and what was written.

    Files come first, for standard output may be closed or full; where one of them cannot be
    written, the others are, and the text is printed.

    :param path: of the JSON file; '-' prints it in place of the text.
    :param files: further ones, each with what writes it; those without a path are left out.
    :raises OSError: one of them cannot be written.
    """
    from ubcn_ros.json_files import json_text, write_json
    printed = str(path) == '-'
    written: list[Path] = []

    def write(file: Path, content: Callable[[Path], object]) -> None:
        content(file)
        written.append(file)

    def say() -> None:
        if printed:
            click.echo(json_text(figures), nl=False)
        elif text is not None:
            click.echo(text)
        for file in written:
            click.echo(f'wrote {file}', err=printed)

    wanted = [(None if printed else path, lambda file: write_json(file, figures)), *files]
    with ExitStack() as left:  # calls all of them, the last first, whatever they raise
        left.callback(say)
        for file, content in reversed(wanted):
            if file is not None:
                left.callback(write, file, content)


@contextmanager
def saving(found: Sized, save: Callable[[], object]) -> Iterator[None]:
    """
    Save what the block finds, however it ends; where it finds nothing, earlier files stay.

    :param found: filled by the block.
    :param save: writes it, as with ``save_json``.
    """
    try:
        yield
    finally:
        if found:
            save()


def exit_stopped(stop: Any, written: str, out: Path, remedy: str = '') -> NoReturn:
    """
    Say what there is in spite of a signal, and exit as a shell expects.

    :param remedy: how to go on with it, if that is possible.
    """
    there = f'{written} written to {out}' + (f'; {remedy}' if remedy else '')
    click.echo(f'Stopped by {stop}: {there if out.exists() else f"{out} was not made"}', err=True)
    sys.exit(stop.exit_code)
