# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

COMMANDS = {
    'bag': 'ubcn_ros.cli.benchmark_bag:bag',
    'engine': 'ubcn_ros.cli.benchmark_engine:engine',
    'equality': 'ubcn_ros.cli.benchmark_equality:equality',
    'startup': 'ubcn_ros.cli.benchmark_startup:startup',
    'train': 'ubcn_ros.cli.benchmark_train:train',
    'node': 'ubcn_ros.cli.benchmark_node:node',
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def benchmark() -> None:
    """Time the engine, a training, a running node, or bag processing."""
