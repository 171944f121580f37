# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keep two runs from writing one bag."""

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

    :raises BagLocked: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise BagLocked(f'{folder} is being written by another process: wait for it, '
                                'or give another path') from error
        yield
    finally:
        os.close(descriptor)
