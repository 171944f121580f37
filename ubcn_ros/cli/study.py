# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

# name -> (module, attribute, line for the help)
COMMANDS = {
    'baselines': ('ubcn_ros.cli.study_baselines', 'baselines',
                  'Compare UBCN with derain-only networks, as in Table 4 of the paper.'),
    'degradations': ('ubcn_ros.cli.study_degradations', 'degradations',
                     'Train and test at four levels of rain, pepper, haze and noise, as in '
                     'Figure 1 of the paper.'),
    'networks': ('ubcn_ros.cli.study_networks', 'networks',
                 'Compare whole models: quality by rain rate and step, size, and time.'),
    'methods': ('ubcn_ros.cli.study_methods', 'methods',
                'Draw every baseline and UBCN side by side, in light and in heavy rain.'),
    'steps': ('ubcn_ros.cli.study_steps', 'steps',
              'Draw the input, the ground truth and every step of the loop.'),
    'real-rain': ('ubcn_ros.cli.study_real_rain', 'real_rain',
                  'Draw what every baseline and UBCN make of photographs in real rain.'),
    'report': ('ubcn_ros.cli.study_report', 'report',
               'Show all studies beside the paper, as one HTML page and one PDF.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def study() -> None:
    """Reproduce the paper's tables and figures."""
