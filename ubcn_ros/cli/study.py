# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study`: the group, a file a sub-command."""

from __future__ import annotations

import click

from ubcn_ros.cli.commands import LazyGroup

COMMANDS = {
    'baselines': 'ubcn_ros.cli.study_baselines:baselines',
    'degradations': 'ubcn_ros.cli.study_degradations:degradations',
    'networks': 'ubcn_ros.cli.study_networks:networks',
    'methods': 'ubcn_ros.cli.study_methods:methods',
    'steps': 'ubcn_ros.cli.study_steps:steps',
    'real-rain': 'ubcn_ros.cli.study_real_rain:real_rain',
    'report': 'ubcn_ros.cli.study_report:report',
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def study() -> None:
    """Reproduce the paper's tables and figures."""
