# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where what takes long to make is kept: exports, TensorRT engines, code, kernel choices."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ubcn_ros import __version__

_SHOWN_BYTES = 100


def cache_folder() -> Path:
    """
    Return where exports, TensorRT engines, compiled code and kernel choices are kept.

    It may be removed at any time: they are made anew, kernel choices perhaps otherwise.

    Below XDG_CACHE_HOME, else ~/.cache; where there is no home that can be written to (containers
    with a user id of their own), a private folder below the system's temporary folder.

    :raises OSError: there is none of these; the text says what to set.
    """
    chosen = os.environ.get('XDG_CACHE_HOME')
    if chosen:
        return Path(os.path.expanduser(chosen)) / 'ubcn_ros'
    folder = Path(os.path.expanduser('~'), '.cache', 'ubcn_ros')
    if _can_be_made(folder):
        return folder
    try:
        return private_folder(Path(tempfile.gettempdir()) / f'ubcn_ros-{os.getuid()}')
    except OSError as error:
        raise OSError(f'no home folder and no temporary folder to keep files in ({error}): set '
                      'XDG_CACHE_HOME to a folder that you can write to') from error


def keep_kernels() -> None:
    """
    Have Triton keep compiled kernels in the cache folder where it has no home to keep them in.

    It would leave them in a folder named `~` of the current one, or not be able to compile any.

    :raises OSError: there is no folder for them, or others may change it.
    """
    if not {'TRITON_CACHE_DIR', 'TRITON_HOME'} & os.environ.keys() \
            and not _can_be_made(Path(os.path.expanduser('~'), '.triton')):
        os.environ['TRITON_CACHE_DIR'] = str(private_folder(cache_folder() / 'triton'))


def _can_be_made(folder: Path) -> bool:
    """Whether this process may make the folder, or write to it where it is there."""
    if not folder.is_absolute():  # `~` stays as it is where nobody knows the user
        return False
    there = folder
    while not os.path.exists(there) and there != there.parent:
        there = there.parent
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def digest(*values: object) -> str:
    """Return the key of these values: the same for equal ones, another for others; 16 digits."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def shown_name(name: str) -> str:
    """Cut what a file in the cache shows of a name, so that its own name fits a file system."""
    return os.fsencode(name)[:_SHOWN_BYTES].decode(errors='ignore')


def files_digest(files: Iterable[Path]) -> str:
    """Return the SHA-256 of what these files hold, in the order of their paths; '' for none."""
    found = sorted(files)
    key = hashlib.sha256()
    for file in found:
        key.update(file.read_bytes())
    return key.hexdigest() if found else ''


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of this package, Python and the named packages that are installed."""
    found = {'ubcn_ros': __version__, 'python': platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def private_folder(path: Path) -> Path:
    """
    Make a folder for code that will be run, or check the one that is there.

    :return: the path.
    :raises PermissionError: somebody else owns it or may write to it, or it is a link.
    :raises OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() \
            or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f'{path} holds code that is run, and others than you could change it '
            f'(owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}): remove it, or set '
            'XDG_CACHE_HOME to a folder of your own')
    return path
