# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

# name -> (module, attribute, line for the help)
COMMANDS = {
    'bag': ('ubcn_ros.cli.benchmark_bag', 'bag',
            'Measure `ubcn bag process` on a rendered drive.'),
    'engine': ('ubcn_ros.cli.benchmark_engine', 'engine',
               'Time the engine by stage, size, steps and precision.'),
    'equality': ('ubcn_ros.cli.benchmark_equality', 'equality',
                 'Compare backends and precisions with eager fp32.'),
    'startup': ('ubcn_ros.cli.benchmark_startup', 'startup',
                'Time a fresh process up to its first frame, by phase, and compare the outputs '
                'of the starts.'),
    'train': ('ubcn_ros.cli.benchmark_train', 'train',
              'Time a training by a recipe; nothing is trained or kept.'),
    'node': ('ubcn_ros.cli.benchmark_node', 'node',
             'Measure a running node: rate, loss, latency and memory; or fuzz it.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def benchmark() -> None:
    """Time the engine, a training, a running node, or bag processing."""
