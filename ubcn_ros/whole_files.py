# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write files whole or not at all: whatever ends the writing leaves the old one or the new one."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = '.partial'
"""Suffix of what a kill leaves of a file that was being written."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of errors for which the remedy is to make room."""
_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)  # of folders, as 9p and SMB answer


def write_whole(path: Path | str, data: bytes, durable: bool = False) -> None:
    """
    Write a file whole or not at all, making its folder where it is missing.

    A link stays one, the mode of a file that is replaced is kept where the file system has modes,
    and a device or pipe is written to as it is.

    :param durable: wait until all is on the disk, so that a power cut leaves no half of it either.
    :raises OSError: it cannot be written; the error has its name.
    """
    path = Path(path)
    with errors_named(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data, durable)


@contextmanager
def errors_named(path: Path, only_nameless: bool = False) -> Iterator[None]:
    """
    Let an OSError name the path that was asked for, and no temporary one beside it.

    :param only_nameless: leave one that names a file as it is.
    """
    try:
        yield
    except OSError as error:
        # one without a number is a text alone
        if error.errno is not None and not (only_nameless and error.filename):
            error.filename = str(path)
            del error.filename2  # None would be shown
        raise


def sync_folder(folder: Path | str) -> None:
    """
    Wait until the names in a folder are on the disk; some file systems cannot do that.

    :raises OSError: it cannot be written.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{uuid.uuid4().hex}{PARTIAL}')
    try:
        with partial.open('wb') as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        with suppress(OSError):  # a new file; or vfat, exFAT or CIFS, which may refuse any mode
            shutil.copymode(path, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
