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
                  'Time and compare the engine; time a training, a running node, or bags.'),
    'data': ('ubcn_ros.cli.data', 'data',
             'Check data before it is trained on, or make an example of own data.'),
    'demo': ('ubcn_ros.cli.demo', 'demo',
             'Replay a rainy drive through the node and show what comes out.'),
    'derain': ('ubcn_ros.cli.derain', 'derain',
               'Derain an image, a folder of images or a video, and label them.'),
    'evaluate': ('ubcn_ros.cli.evaluate', 'evaluate', 'Measure a model per rain rate and step.'),
    'export': ('ubcn_ros.cli.export', 'export',
               'Write each stage of the loop as a model, and check it.'),
    'model': ('ubcn_ros.cli.model', 'model',
              'Say what a model file is, or calibrate its confidence.'),
    'rain': ('ubcn_ros.cli.rain', 'rain',
             'Render rain on an image, a folder of images, a video or a bag.'),
    'report': ('ubcn_ros.cli.report', 'report',
               'Show a processed bag, a pair, or an evaluation as one HTML file.'),
    'study': ('ubcn_ros.cli.study', 'study', "Make the paper's tables and figures again."),
    'train': ('ubcn_ros.cli.train', 'train', 'Train a model by a recipe.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS,
             context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='ubcn')
def main() -> None:
    """Derain and segment images with UBCN, on files, bags and live topics."""
    keep_freed_memory(os.environ)
