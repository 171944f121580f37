# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `ubcn benchmark`; what it commands is loaded by name, when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util

import click

# name -> (module, attribute, line for the help)
COMMANDS = {
    'engine': ('ubcn_ros.evaluation.engine_benchmark', 'engine',
               'Time the engine by stage, size, steps and precision.'),
    'equality': ('ubcn_ros.evaluation.equality', 'equality',
                 'Compare backends and precisions with eager fp32.'),
    'startup': ('ubcn_ros.evaluation.startup', 'startup',
                'Time a fresh process to its first result.'),
    'node': ('ubcn_ros.node_benchmark_command', 'node',
             'Rate, loss, latency and memory of a running node; fuzz it.'),
}


class _ByName(click.Group):
    """A group of COMMANDS, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if importlib.util.find_spec(COMMANDS[name][0])]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        module, attribute, _ = COMMANDS[name]
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Commands'):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=_ByName)
def benchmark() -> None:
    """Time and compare the engine, or time a running node."""
