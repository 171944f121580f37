# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where things are kept that take long to make: exports, TensorRT engines, compiled code."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def cache_folder() -> Path:
    """Where exports, TensorRT engines and compiled code are kept; may be removed at any time."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root).expanduser() / 'ubcn_ros'


def digest(*values: object) -> str:
    """Key of these values: the same for equal ones, another for others; 16 digits."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def private_folder(path: Path) -> Path:
    """
    Make a folder for code that will be run, or check the one that is there.

    :return: the path.
    :raises PermissionError: somebody else owns it or may write to it.
    :raises OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f'{path} holds code that is run, and others than you could change it '
            f'(owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}): remove it, or set '
            'XDG_CACHE_HOME to a folder of your own')
    return path
