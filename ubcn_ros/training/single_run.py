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
_RANKS = ('LOCAL_RANK', 'NODE_RANK', 'GROUP_RANK', 'SLURM_PROCID')


@contextlib.contextmanager
def single_run(out: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """
    Keep other runs out of an output folder, which is made where it is missing.

    The kernel frees the lock of a run that was killed; no file is left. Of the processes of one
    run the first alone asks for it. Where the file system knows no locks, nothing is kept out.

    :param patience: seconds to wait for what a killed run left.
    :raises ValueError: another run has it.
    """
    if any(os.environ.get(name, '0') != '0' for name in _RANKS):
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            until = time.monotonic() + patience
            while not _locked(folder):
                if time.monotonic() >= until:
                    raise ValueError(f'another run is training in {out}: wait for its end, or '
                                     'choose another --out')
                time.sleep(0.1)
        yield
    finally:
        os.close(folder)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
