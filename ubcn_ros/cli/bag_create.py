# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag create`: images to a bag."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import Number
from ubcn_ros.cli.output import exit_stopped, progress_bar


@click.command(cls=Command)
@click.argument('folder', type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument('out', type=click.Path(path_type=Path))
@click.option('--topic', default='/camera/image_raw', show_default=True)
@click.option('--rate', 'rate_hz', default=15.0, show_default=True,
              type=Number(0, min_open=True), help='Images per second.')
@click.option('--compressed', is_flag=True,
              help='Write CompressedImage on TOPIC/compressed: JPEG and PNG files as they are, '
              'others as PNG.')
@click.option('--frame-id', default='camera', show_default=True)
@click.option('--storage', default='mcap', show_default=True,
              type=click.Choice(['mcap', 'sqlite3']), help='Format of OUT.')
def bag_create(folder: Path, out: Path, topic: str, rate_hz: float, compressed: bool,
               frame_id: str, storage: str) -> None:
    """Make the bag OUT from the image files of FOLDER, in the order of their names."""
    from ubcn_ros.bags import create
    from ubcn_ros.images.files import list_images
    from ubcn_ros.stopping import Stopped, stop_on_signals
    count = 0
    try:
        paths = list_images(folder)
        with stop_on_signals(), progress_bar(total=len(paths)) as bar:
            def show(done: int) -> None:
                nonlocal count
                count = done
                bar.update()
            create(paths, out, topic, rate_hz, compressed, frame_id, storage, show)
    except Stopped as stop:
        exit_stopped(stop, f'{count} of {len(paths)} images', out)
    click.echo(f'{count} images written to {out}')
