# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a program of this package is started in a Python of its own."""

from __future__ import annotations

import os
import sys


def python_command(*arguments: str) -> list[str]:
    """
    Return the command that runs this Python with arguments such as '-m' and a module.

    Modules of the current folder are found only where this process finds them, too: a random.py
    of the user's there is not the standard library's. Before Python 3.11 they are always found.
    """
    try:
        found_anyway = {'', os.getcwd()} & {*sys.path}
    except FileNotFoundError:  # a folder that was removed holds no modules
        found_anyway = set()
    safe = sys.version_info >= (3, 11) and not found_anyway
    return [sys.executable, *(['-P'] if safe else []), *arguments]
