# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tell a disk or server that is gone from a place of a file that cannot be read."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from ubcn_ros.bags.errors import BagOutOfReach, reason

_GONE = {errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET, errno.EHOSTDOWN,
         errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.EREMOTEIO, errno.ENODEV,
         errno.ENXIO}
_PLACES = 9  # of a file that are tried
_PLACE_BYTES = 4096
_AROUND = 1 << 19  # bytes before and behind a place that the system may keep together in memory


def check_in_reach(file: Path | int, name: str, error: BaseException) -> None:
    """
    Raise BagOutOfReach where an error of reading says that the file's disk or server is gone.

    :param file, name: as of `check_readable`.
    """
    if isinstance(error, OSError):
        if error.errno in _GONE:
            raise _out_of_reach(name, reason(error)) from error
        if error.errno == errno.EIO:  # of one place, or of all
            check_readable(file, name, reason(error))


def check_readable(file: Path | int, name: str, why: str) -> None:
    """
    Raise BagOutOfReach where most of some places, spread over a file, cannot be read.

    A single one that cannot is damage.

    :param file: its path, or a descriptor from before the error: a disk that was unplugged and
        is there again is another for that.
    :param name, why: for the text: of the file, and of the error.
    """
    failed = 0
    try:
        with open(file, 'rb', buffering=0, closefd=isinstance(file, Path)) as probe:
            size = os.fstat(probe.fileno()).st_size
            for number in range(_PLACES):
                failed += not _is_readable(probe.fileno(), size * number // _PLACES)
    except OSError as error:
        raise _out_of_reach(name, why) from error
    if failed > _PLACES // 2:
        raise _out_of_reach(name, why)


def _is_readable(descriptor: int, place: int) -> bool:
    """Say whether a place can be read from the disk: in memory it may be there still."""
    with suppress(OSError):
        os.posix_fadvise(descriptor, max(0, place - _AROUND), 2 * _AROUND,
                         os.POSIX_FADV_DONTNEED)
    try:
        os.pread(descriptor, _PLACE_BYTES, place)
    except OSError:
        return False
    return True


def _out_of_reach(name: str, why: str) -> BagOutOfReach:
    return BagOutOfReach(f'{name} could not be read on: {why}; see that its disk or server is '
                         'there, and run the same again')
