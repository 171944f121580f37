# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `ubcn benchmark`; what it commands is loaded by name, when it is asked for."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

# name -> (module, attribute, line for the help)
COMMANDS = {
    'engine': ('ubcn_ros.benchmark.engine', 'engine',
               'Time the engine by stage, size, steps and precision.'),
    'equality': ('ubcn_ros.benchmark.equality', 'equality',
                 'Compare backends and precisions with eager fp32.'),
    'startup': ('ubcn_ros.benchmark.startup', 'startup',
                'Time a fresh process to its first result.'),
    'node': ('ubcn_ros.cli.benchmark_node', 'node',
             'Rate, loss, latency and memory of a running node; fuzz it.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def benchmark() -> None:
    """Time and compare the engine, or time a running node."""
