# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where models and configuration are: in the source tree, or where colcon or pip put them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DEFAULT_MODEL = 'ubcn-light-camvid'
"""Name of the model that ships, in models/."""
EXPORTED = 'export.json'
"""File that describes an export, in its folder."""

_HERE = Path(__file__).resolve()


def shared_folders(name: str) -> list[Path]:
    """
    Return the folders of this package's data that exist, in the order to search them.

    Those that belong to the code that runs come first: of the source tree, else of the prefix
    that it is installed in, which need not be the interpreter's. Then those of AMENT_PREFIX_PATH
    and of the interpreter.

    :param name: path below the source tree, which is installed under share: 'models', 'config'.
    """
    source = _HERE.parents[2]
    # os.path: methods of Path raise where a folder may not be read
    roots = [source] if os.path.isfile(source / 'package.xml') else []
    prefixes = [*_HERE.parents, *filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(
        os.pathsep)), sys.prefix]
    roots += [Path(prefix) / 'share' / 'ubcn_ros' for prefix in prefixes]
    folders = dict.fromkeys(root / name for root in roots)
    return [folder for folder in folders if os.path.isdir(folder)]
