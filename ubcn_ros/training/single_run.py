# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A lock on an output folder: two runs at once would write over each other's files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE = 8.0  # seconds: processes that render outlive a killed run by up to five
_ATTEMPTS = 100  # to make and open a folder, which the run that made it removes: all in 10 ms
_RANKS = ('LOCAL_RANK', 'NODE_RANK', 'GROUP_RANK', 'SLURM_PROCID')


@contextlib.contextmanager
def single_run(out: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """
    Keep other runs out of an output folder, which is made where it is missing.

    A run that raises before it has written anything leaves no folder that it made. The kernel
    frees the lock of a run that was killed; no file is left. Of the processes of one run the
    first alone asks for it. Where the file system knows no locks, nothing is kept out.

    :param patience: seconds to wait for what a killed run left.
    :raises ValueError: another run has it.
    :raises OSError: it cannot be made or opened.
    """
    if any(os.environ.get(name, '0') != '0' for name in _RANKS):
        yield
        return
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    until = time.monotonic() + patience
    while (lock := _lock(out)) is None:
        if time.monotonic() >= until:
            raise ValueError(f'another run is writing to {out}: wait for its end, or '
                             'choose another --out')
        time.sleep(0.1)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # one that is not empty stays, and those above it
            for folder in made:
                folder.rmdir()
        raise
    finally:
        os.close(lock)


def _lock(out: Path) -> int | None:
    """Open and lock a folder, which is made where it is missing; None where another has it."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            out.mkdir(parents=True, exist_ok=True)
            folder = os.open(out, os.O_RDONLY)
            break
        except (FileNotFoundError, FileExistsError):
            if not left:
                raise
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        ours = False
    except OSError:
        return folder  # no locks here
    else:
        ours = _is_at(folder, out)
    if ours:
        return folder
    os.close(folder)
    return None


def _is_at(folder: int, out: Path) -> bool:
    """Tell whether an open folder is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(folder), os.stat(out))
    except FileNotFoundError:
        return False
