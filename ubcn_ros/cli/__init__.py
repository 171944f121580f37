# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The command `ubcn`: a file a sub-command.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import os
import sys

import click

from ubcn_ros import __version__
from ubcn_ros.cli.commands import LazyGroup
from ubcn_ros.malloc import keep_freed_memory

COMMANDS = {
    'bag': 'ubcn_ros.cli:bag',
    'benchmark': 'ubcn_ros.cli:benchmark',
    'data': 'ubcn_ros.cli.data:data',
    'demo': 'ubcn_ros.cli.demo:demo',
    'derain': 'ubcn_ros.cli.derain:derain',
    'evaluate': 'ubcn_ros.cli.evaluate:evaluate',
    'export': 'ubcn_ros.cli.export:export',
    'model': 'ubcn_ros.cli.model:model',
    'rain': 'ubcn_ros.cli.rain:rain',
    'report': 'ubcn_ros.cli.report:report',
    'study': 'ubcn_ros.cli:study',
    'train': 'ubcn_ros.cli.train:train',
}
bag = LazyGroup('bag', help='Make, process, play, inspect and compare bags.', lazy={
    'compare': 'ubcn_ros.cli.bag_compare:bag_compare',
    'create': 'ubcn_ros.cli.bag_create:bag_create',
    'info': 'ubcn_ros.cli.bag_info:bag_info',
    'play': 'ubcn_ros.cli.bag_play:bag_play',
    'process': 'ubcn_ros.cli.bag_process:bag_process',
})
benchmark = LazyGroup(
    'benchmark', help='Time the engine, a training, a running node, or bag processing.', lazy={
        'bag': 'ubcn_ros.cli.benchmark_bag:bag',
        'engine': 'ubcn_ros.cli.benchmark_engine:engine',
        'equality': 'ubcn_ros.cli.benchmark_equality:equality',
        'startup': 'ubcn_ros.cli.benchmark_startup:startup',
        'train': 'ubcn_ros.cli.benchmark_train:train',
        'node': 'ubcn_ros.cli.benchmark_node:node',
    })
study = LazyGroup('study', help="Reproduce the paper's tables and figures.", lazy={
    'baselines': 'ubcn_ros.cli.study_baselines:baselines',
    'degradations': 'ubcn_ros.cli.study_degradations:degradations',
    'networks': 'ubcn_ros.cli.study_networks:networks',
    'methods': 'ubcn_ros.cli.study_methods:methods',
    'steps': 'ubcn_ros.cli.study_steps:steps',
    'real-rain': 'ubcn_ros.cli.study_real_rain:real_rain',
    'report': 'ubcn_ros.cli.study_report:report',
})


@click.group(cls=LazyGroup, lazy=COMMANDS,
             context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='ubcn')
@click.pass_context
def main(context: click.Context) -> None:
    """Derain and segment images with UBCN, on files, bags and live topics."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not closed
            stream.reconfigure(errors='backslashreplace')  # names of files may not be UTF-8
    if os.environ.get('NO_COLOR') or os.environ.get('TERM') == 'dumb':
        context.color = False
    keep_freed_memory(os.environ)
