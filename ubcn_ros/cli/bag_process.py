# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag process`: bags through the engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import engine_options, load_engine
from ubcn_ros.cli.output import exit_stopped, progress_bar, warn


@click.command(cls=Command)
@click.argument('in_bag', metavar='IN', type=click.Path(path_type=Path))
@click.argument('out_bag', metavar='OUT', type=click.Path(path_type=Path))
@click.option('--topic', help='Image topic [default: the only one in the bag].')
@click.option('--pictures', is_flag=True, help='Write /labels/color and /overlay/image_raw too.')
@click.option('--storage', default='mcap', show_default=True,
              type=click.Choice(['mcap', 'sqlite3']), help='Format of OUT.')
@engine_options
def bag_process(in_bag: Path, out_bag: Path, topic: str | None, pictures: bool, storage: str,
                iterations: int, **chosen: Any) -> None:
    """
    Derain and label every image of the bag IN into the bag OUT.

    No frame is dropped, however long it takes; each output carries the header and recording time
    of its input. Malformed messages are reported and left out, and of a damaged bag, what is whole
    is processed; the exit code is then 1.
    """
    from ubcn_ros.bags import image_connection, open_bag, process
    from ubcn_ros.stopping import Stopped, stop_on_signals
    count = 0
    try:
        with stop_on_signals():
            with open_bag(in_bag) as reader:  # errors of the bag before the seconds of loading
                for note in reader.notes:
                    warn(note)
                image_connection(reader, topic)
            engine = load_engine(**chosen)
            with progress_bar() as bar:
                def show(done: int, total: int) -> None:
                    nonlocal count
                    count = done
                    bar.total = total
                    bar.update(done - bar.n)
                done = process(in_bag, out_bag, engine, iterations, topic, pictures, storage, show)
    except Stopped as stop:
        exit_stopped(stop, f'the outputs of {count} messages', out_bag)
    for line in [*done.malformed, *done.problems]:
        click.echo(f'Error: {line}', err=True)
    if not done.frames:
        raise click.ClickException(f'no image of {done.topic} could be read: {out_bag} was not '
                                   'made')
    click.echo(f'{done.frames} images of {done.topic} written to {out_bag}')
    if done.malformed or done.problems:
        sys.exit(1)
