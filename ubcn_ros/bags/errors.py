# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of bags."""

from __future__ import annotations

import errno
from pathlib import Path

from ubcn_ros.bag_names import ROSBAG2_SUFFIXES
from ubcn_ros.whole_files import NO_ROOM


class BagError(ValueError):
    """A bag cannot be read or written as asked; the text names what is there and the remedy."""


class BagLocked(BagError):
    """Another process writes that bag; it can be tried again later."""


class BagOutOfReach(BagError):
    """The disk or server of a bag is gone, perhaps for a while: what it holds may be whole."""


class BagOutOfMemory(BagError):
    """An image of a bag does not fit into memory, now or in this process."""


class MalformedMessage(BagError):
    """A message of a bag cannot be the image that its type says; the text says why."""


def about(bag: Path, text: str) -> str:
    """Begin a text with the bag that it is about, unless it names that already."""
    return text if str(bag) in text else f'{bag}: {text}'


def reason(error: BaseException) -> str:
    """Return what an error of another library says, in one line."""
    text = ' '.join((getattr(error, 'strerror', None) or str(error)).split())
    return text or type(error).__name__


def write_error(path: Path, error: Exception) -> BagError:
    """Make the error of a bag that cannot be written, with the remedy for its reason."""
    number = getattr(error, 'errno', None)
    if number == errno.EFBIG:
        remedy = ('its disk takes no larger file, as FAT32 of 4 GB: let bag process begin another '
                  'before (--split-size 3900), or give a path on another disk')
    elif number in NO_ROOM:
        remedy = 'make room on its disk, or give a path on another'
    else:
        remedy = 'give a path in a folder that you may write to'
    return BagError(f'bag {path} cannot be written: {reason(error)}; {remedy}')


def check_bag_name(path: Path | str) -> None:
    """
    Check that metadata.yaml can name the files of a bag, which are called as its folder.

    :raises BagError: its name is not UTF-8.
    """
    try:
        Path(path).resolve().name.encode()
    except UnicodeEncodeError as error:
        raise BagError(f'bag {path} cannot be written: its name is not UTF-8, which the '
                       'metadata.yaml of rosbag2 needs; choose another name') from error


def exists_error(path: Path) -> BagError:
    """Make the error of a bag that is there already."""
    if path.is_dir() and not (path / 'metadata.yaml').exists() and any(
            file.suffix in ROSBAG2_SUFFIXES for file in path.iterdir()):
        return BagError(f'bag {path} cannot be written: it exists already, and has no '
                        'metadata.yaml, as a command that was killed leaves it; remove it, or '
                        'give a path that does not exist yet')
    return BagError(f'bag {path} cannot be written: it exists already; give a path that does '
                    'not exist yet')


def in_seconds(time_ns: int) -> str:
    """Write a time as seconds, exact to the nanosecond."""
    return f'{"-" * (time_ns < 0)}{abs(time_ns) // 10**9}.{abs(time_ns) % 10**9:09} s'
