# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag play`: a bag to live topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import duration_option, exclude_option, start_option, topics_option
from ubcn_ros.cli.output import say, warn
from ubcn_ros.cli.param_types import InputType, Number
from ubcn_ros.stopping import Stopped


class _ClockRate(Number):
    """Hz, whose option takes the bag for it where that comes next."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            float(value)
        except ValueError:
            self.fail(f'{value!r} is not a number of Hz: put --clock after BAG, or write '
                      '--clock=40', param, ctx)
        return super().convert(value, param, ctx)


@click.command(cls=Command)
@click.argument('bag', type=InputType(path_type=Path))
@click.option('--rate', default=1.0, show_default=True, type=Number(1e-3, 1e6),
              help='Playback rate: 2 is twice as fast as recorded.')
@click.option('--loop', is_flag=True, help='Start again at the end, until interrupted.')
@start_option()
@duration_option()
@topics_option()
@exclude_option()
@click.option('--clock', 'clock_hz', is_flag=False, flag_value='40', metavar='[HZ]',
              type=_ClockRate(1e-3, 1e4),
              help='Publish the time of the recording on /clock, instead of a recorded '
                   '/clock, for nodes with use_sim_time  [without HZ: 40 times a second].')
@click.option('--wait-for', multiple=True, metavar='TOPIC',
              help='Wait until this topic has a subscriber before starting; may be repeated.')
def bag_play(bag: Path, **chosen: Any) -> None:
    """
    Play a bag to live topics, at the pace of its recording.

    Messages are published as stored, with the recorded QoS; if a topic had several publishers,
    with a QoS that every subscriber of theirs can connect to. Types that are not installed are
    named and left out. Nothing is dropped: a message that is more than 10 ms late is published at
    once and counted. Fast DDS gets the shared memory of config/fastdds.xml, unless a profile is
    set. Stopped by a signal, as by Ctrl-C, it ends with code 0, like ROS nodes.
    """
    try:
        _play(bag, chosen)
    except Stopped as stop:  # to launch, a process that ends with another code than 0 has died
        click.echo(f'Stopped by {stop}', err=True)


def _play(bag: Path, chosen: dict[str, Any]) -> None:
    from ubcn_ros.bags.live.node_process import ReplayError, use_shared_memory
    from ubcn_ros.bags.live.pace import Played
    from ubcn_ros.bags.live.play import PlayOptions, play
    played = Played()
    use_shared_memory()
    try:
        play(bag, PlayOptions(**chosen), played, say, warn)
    except Stopped as stop:
        click.echo(f'Stopped by {stop}: {_text(played)}', err=True)
    except ReplayError as error:
        raise click.ClickException(str(error)) from error
    else:
        click.echo(_text(played))


def _text(played: object) -> str:
    late = (f'{played.late} of them late, by {played.latest_ns / 1e6:.0f} ms at most'
            if played.late else 'none of them late')
    return f'{played.messages} messages published, {late}'
