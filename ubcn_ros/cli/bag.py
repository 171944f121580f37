# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

COMMANDS = {
    'compare': 'ubcn_ros.cli.bag_compare:bag_compare',
    'create': 'ubcn_ros.cli.bag_create:bag_create',
    'info': 'ubcn_ros.cli.bag_info:bag_info',
    'play': 'ubcn_ros.cli.bag_play:bag_play',
    'process': 'ubcn_ros.cli.bag_process:bag_process',
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def bag() -> None:
    """Make, process, play, inspect and compare bags."""
