# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag create`: images or a video to a bag."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from ubcn_ros.cli.commands import Command, refuse_options
from ubcn_ros.cli.output import exit_stopped, progress_bar, say_error, warn
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, InputType, Number
from ubcn_ros.text_table import counted


@click.command(cls=Command)
@click.argument('source', type=InputType(exists=True, path_type=Path))
@click.argument('out', type=OUTPUT_FOLDER)
@click.option('--topic', default='/camera/image_raw', show_default=True,
              help='Image topic to write.')
@click.option('--stamps', default='auto', show_default=True,
              type=click.Choice(['auto', 'names', 'rate']),
              help='Take stamps from the file names, or space images evenly at --rate; auto: '
                   'from the names if every one has a time or number.')
@click.option('--rate', 'rate_hz', type=Number(0, 1e6, min_open=True),
              help='Images per second  [default: 15; of a video, its own times].')
@click.option('--compressed', is_flag=True,
              help='Write CompressedImage to TOPIC/compressed: JPEG and PNG files unchanged, '
                   'other files as PNG, videos and images with rain as JPEG.')
@click.option('--frame-id', default='camera', show_default=True,
              help='frame_id of every header.')
@click.option('--camera-info', 'calibration', type=InputType(exists=True, path_type=Path),
              help='Calibration, as camera_calibration writes it (YAML); each image gets a '
                   'CameraInfo.')
@click.option('--rain', 'rain_mm_h', default=0.0, show_default=True, type=Number(0, 300),
              help='Render rain of this rate on the images, mm/hr, continuous over time.')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Seed of the rain; the same seed gives the same rain.')
def bag_create(source: Path, out: Path, topic: str, stamps: str, rate_hz: float | None,
               compressed: bool, frame_id: str, calibration: Path | None, rain_mm_h: float,
               seed: int) -> None:
    """
    Make a bag from a folder of images or a video.

    If a file name ends in 10, 13, 16 or 19 digits, they are the time of its image: seconds,
    milliseconds, microseconds or nanoseconds since 1970. Seconds may have a fraction after a
    point, or 9 digits of nanoseconds after _ or -. Any other number is a frame number, at --rate
    frames per second: missing numbers leave gaps, and all names must be equal up to the number.

    Broken images are reported and left out, and of a damaged video the intact part is written; the
    exit code is then 1.
    """
    from ubcn_ros.bags.create import create
    from ubcn_ros.bags.image_source import image_source
    from ubcn_ros.data.rain_sequence import RainSequence
    from ubcn_ros.images.files import left_out_notes
    from ubcn_ros.stopping import Stopped
    if not rain_mm_h:
        refuse_options(('seed',), 'no rain is rendered without --rain')
    count, broken = 0, False
    left_out: Counter[str] = Counter()
    images = image_source(source, rate_hz, stamps)
    for note in images.notes:
        warn(note)
    try:
        with progress_bar(total=images.total or None) as bar:
            def show(done: int) -> None:
                nonlocal count
                count = done
                bar.update()

            def tell(text: str) -> None:
                nonlocal broken
                broken = True
                bar.clear()
                say_error(text)

            create(images, out, topic, rate_hz, compressed, frame_id, show, calibration,
                   RainSequence(rain_mm_h, seed) if rain_mm_h else None, tell, left_out)
    except Stopped as stop:
        exit_stopped(stop, f'{count} of {images.total or "all"} images', out)
    finally:
        for note in left_out_notes(left_out):
            warn(note)
    click.echo(f'{counted(count, "image")} written to {out}; stamps: {images.text}')
    if broken:
        sys.exit(1)
