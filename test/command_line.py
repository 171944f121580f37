# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `ubcn` in this process."""

from click.testing import CliRunner, Result

from ubcn_ros import cli


def ubcn(*arguments) -> Result:
    """Run the command with these arguments."""
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
