# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image files in, image files out: what `ubcn derain` and `ubcn rain` share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import as_line
from ubcn_ros.cli.output import progress_bar

recursive_option = click.option('--recursive', is_flag=True,
                                help='Search the sub-folders of INPUT, too; OUTPUT gets the same.')


def pair_files(source: Path, target: Path, recursive: bool, without: Iterable[Path | None] = ()
               ) -> tuple[list[tuple[Path, Path]], Any]:
    """
    Pair input files with output files.

    :param without: folders that are written to, beside `target`.
    :return: the pairs, and the listing of the folder they come from.
    """
    from ubcn_ros.images.files import KINDS, Listing, find_images, is_image_name
    to_file = not source.is_dir() and is_image_name(target) and not target.is_dir()
    if target.exists() and not target.is_dir() and not to_file:
        kind = f'{source} is a folder' if source.is_dir() else 'not an image'
        raise click.ClickException(f'{target} is a file, but {kind}: give a folder to write to')
    if not source.is_dir():
        listing = Listing([source])
        jobs = [(source, target if to_file else target / f'{source.stem}.png')]
    else:
        listing = find_images(source, recursive, filter(None, (target, *without)))
        if not listing.images:
            raise click.ClickException(f'{source} holds no images ({KINDS}){_skipped(listing)}')
        jobs = [(path, target / path.relative_to(source).with_suffix('.png'))
                for path in listing.images]
    written: dict[Path, Path] = {}
    for path, output in jobs:
        if os.path.realpath(path) == os.path.realpath(output):
            raise click.ClickException(f'{output} would overwrite its input: give another OUTPUT')
        if output in written:
            raise click.ClickException(f'{written[output].name} and {path.name} would both be '
                                       f'written to {output}: rename one')
        written[output] = path
    return jobs, listing


def _skipped(listing: Any) -> str:
    """Count what of a folder is not an image, for the end of a line."""
    counts = [(listing.others, 'other file'), (listing.hidden, 'hidden name'),
              (len(listing.folders), 'sub-folder')]
    told = [f'{count} {name}{"" if count == 1 else "s"}' for count, name in counts if count]
    hint = ' (--recursive takes them in)' if listing.folders else ''
    return f'; skipped: {", ".join(told)}{hint}' if told else ''


def run_jobs(jobs: list[tuple[Path, Path]], listing: Any,
             work: Callable[[Any, Path], None]) -> None:
    """Run `work(image, output)` on every file; report broken ones and exit with 1 for them."""
    from ubcn_ros.images.files import ImageFileError, read_image
    errors = list(listing.unreadable)
    for text in errors:
        click.echo(f'Error: {as_line(text)}', err=True)
    broken = 0
    with progress_bar(jobs) as bar:
        for source, output in bar:
            try:
                work(read_image(source), output)
            except ImageFileError as error:
                broken += 1
                bar.clear()
                click.echo(f'Error: {as_line(str(error))}', err=True)
    click.echo(f'{len(jobs) - broken} of {len(jobs)} images written{_skipped(listing)}')
    if broken or errors:
        sys.exit(1)
