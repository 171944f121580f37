# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hold a bag that is being written, so that no other process writes it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ubcn_ros.bags.errors import BagLocked


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """
    Hold a folder; the lock ends with this process, however that ends.

    Where a file system knows no locks on folders there is none.

    :raises BagLocked: another process holds it, or has taken it away.
    """
    text = f'{folder} is being written by another process: wait for it, or give another path'
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise BagLocked(text) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise BagLocked(text) from error
        yield
    finally:
        os.close(descriptor)
