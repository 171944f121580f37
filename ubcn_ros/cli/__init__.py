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

# name -> (module, attribute, line for the help)
COMMANDS = {
    'bag': ('ubcn_ros.cli.bag', 'bag', 'Make, process, play, inspect and compare bags.'),
    'benchmark': ('ubcn_ros.cli.benchmark', 'benchmark',
                  'Time the engine, a training, a running node, or bag processing.'),
    'data': ('ubcn_ros.cli.data', 'data',
             'Check data before training on it, or write an example data set.'),
    'demo': ('ubcn_ros.cli.demo', 'demo',
             'Replay a rainy drive through the node and show what comes out.'),
    'derain': ('ubcn_ros.cli.derain', 'derain',
               'Derain an image, a folder of images or a video, and label them.'),
    'evaluate': ('ubcn_ros.cli.evaluate', 'evaluate',
                 'Measure the quality of a model by rain rate and step.'),
    'export': ('ubcn_ros.cli.export', 'export',
               'Export each stage of the loop as a model, and check it.'),
    'model': ('ubcn_ros.cli.model', 'model',
              'Show what a model file holds, or calibrate its confidence.'),
    'rain': ('ubcn_ros.cli.rain', 'rain',
             'Render rain on an image, a folder of images, a video or a bag.'),
    'report': ('ubcn_ros.cli.report', 'report',
               'Show a processed bag, a pair of bags, or an evaluation as one HTML file.'),
    'study': ('ubcn_ros.cli.study', 'study', "Reproduce the paper's tables and figures."),
    'train': ('ubcn_ros.cli.train', 'train', 'Train a model by a recipe.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS,
             context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='ubcn')
def main() -> None:
    """Derain and segment images with UBCN, on files, bags and live topics."""
    keep_freed_memory(os.environ)
