# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The command `ubcn`: a file a sub-command.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os

import click

from ubcn_ros import __version__
from ubcn_ros.cli.commands import LazyGroup
from ubcn_ros.malloc import keep_freed_memory

COMMANDS = {
    'bag': 'ubcn_ros.cli.bag:bag',
    'benchmark': 'ubcn_ros.cli.benchmark:benchmark',
    'data': 'ubcn_ros.cli.data:data',
    'demo': 'ubcn_ros.cli.demo:demo',
    'derain': 'ubcn_ros.cli.derain:derain',
    'evaluate': 'ubcn_ros.cli.evaluate:evaluate',
    'export': 'ubcn_ros.cli.export:export',
    'model': 'ubcn_ros.cli.model:model',
    'rain': 'ubcn_ros.cli.rain:rain',
    'report': 'ubcn_ros.cli.report:report',
    'study': 'ubcn_ros.cli.study:study',
    'train': 'ubcn_ros.cli.train:train',
}


@click.group(cls=LazyGroup, lazy=COMMANDS,
             context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='ubcn')
def main() -> None:
    """Derain and segment images with UBCN, on files, bags and live topics."""
    keep_freed_memory(os.environ)
