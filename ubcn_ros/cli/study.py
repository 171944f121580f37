# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

# name -> (module, attribute, line for the help)
COMMANDS = {
    'baselines': ('ubcn_ros.cli.study_baselines', 'baselines',
                  "Compare UBCN with derain-only networks, as the paper's table 4 does."),
    'degradations': ('ubcn_ros.cli.study_degradations', 'degradations',
                     "Train and test at four levels of rain and noise: the paper's figure 1."),
    'networks': ('ubcn_ros.cli.study_networks', 'networks',
                 'Compare whole models: quality by rain rate and step, size and time.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def study() -> None:
    """Make the paper's tables and figures again."""
