# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

# name -> (module, attribute, line for the help)
COMMANDS = {
    'compare': ('ubcn_ros.cli.bag_compare', 'bag_compare',
                'Compare two processed bags of the same drive, frame by frame.'),
    'create': ('ubcn_ros.cli.bag_create', 'bag_create',
               'Make a bag from a folder of images or a video.'),
    'info': ('ubcn_ros.cli.bag_info', 'bag_info',
             'Show what bags hold: topics, rates, sizes, cameras, gaps, damage.'),
    'play': ('ubcn_ros.cli.bag_play', 'bag_play',
             'Play a bag to live topics, at the pace of its recording.'),
    'process': ('ubcn_ros.cli.bag_process', 'bag_process',
                'Derain and label every image of the bag IN into the bag OUT.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def bag() -> None:
    """Make, process, play, inspect and compare bags."""
