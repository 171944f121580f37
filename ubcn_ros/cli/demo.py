# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn demo`: a bag through the running node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command, refuse_options
from ubcn_ros.cli.options import (
    convergence_option,
    device_option,
    iterations_option,
    min_confidence_option,
    model_option,
    processing_option,
)
from ubcn_ros.cli.output import exit_stopped
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, InputType, Number


@click.command(cls=Command)
@click.option('--bag', type=InputType(path_type=Path),
              help='Replay this bag  [default: a rendered rainy drive].')
@click.option('--topic', help="The bag's image topic  [default: the only one].")
@click.option('--out', default=Path('out/demo'), show_default=True, type=OUTPUT_FOLDER,
              help='Output folder.')
@model_option()
@iterations_option()
@convergence_option()
@processing_option()
@min_confidence_option()
@click.option('--rate', 'rate_hz', type=Number(0, min_open=True),
              help="Images per second  [default: the bag's own rate; for the rendered drive, "
                   'what this machine keeps up with].')
@click.option('--frames', type=click.IntRange(1),
              help='Replay at most this many images  [default: 60 of the rendered drive, 150 '
                   'of a bag].')
@click.option('--rain', 'rain_mm_h', default=100.0, show_default=True,
              type=Number(0, 300), help='Rain on the rendered drive, mm/hr.')
@device_option()
def demo(out: Path, **chosen: Any) -> None:
    """
    Replay a rainy drive through the node and show what comes out.

    Starts the node as its own process, replays a bag over DDS, records the outputs to
    OUT/outputs, and writes OUT/sheet.png and OUT/summary.json.
    """
    from ubcn_ros.bags.live.demo import DemoOptions, run
    from ubcn_ros.bags.live.node_process import ReplayError
    from ubcn_ros.stopping import Stopped
    if chosen['bag'] is not None:
        refuse_options(('rain_mm_h',), f'{chosen["bag"]} is replayed as it is')
    else:
        refuse_options(('topic',), 'no --bag is given')
    try:
        run(DemoOptions(out=out, **chosen))
    except ReplayError as error:
        raise click.ClickException(str(error)) from error
    except Stopped as stop:
        exit_stopped(stop, 'what was received', out / 'outputs')
