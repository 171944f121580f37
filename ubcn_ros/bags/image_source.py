# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Images to make a bag of, each with its stamp: of a folder, a video, or at hand.

What the name of a file, without its suffix, ends in says when its image was taken:

| digits                                       | mean                          |
|----------------------------------------------|-------------------------------|
| 10, and 10 with a fraction (1700000000.25)   | seconds since 1970            |
| 10 and 9 (1700000000_250000000)              | seconds and nanoseconds       |
| 13, 16, 19                                   | milli-, micro-, nanoseconds   |
| less than 1000000000, also with zeros before | number of a frame, at a rate  |

The first three rows are read as times between 2001 and 2038. Numbers of frames have the same text
before them in all names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ubcn_ros.bags.errors import BagError
from ubcn_ros.images.files import is_image_name, list_images
from ubcn_ros.images.video import DEFAULT_RATE_HZ, is_video, read_video, video_info

START_NS = 1_000_000_000
"""Stamp of the first image where no time is known, ns; not 0, which means 'no stamp'."""
STAMPS = ('auto', 'names', 'rate')
"""Where stamps come from: names where all have times or numbers, else the rate; or one of them."""
_LONGEST_SECONDS = 2**31 - 10  # seconds of a stamp are int32
_SECONDS = re.compile(r'(?<!\d)(\d{10})(?:\.(\d{1,9})|[-_](\d{9}))$')
_NUMBER = re.compile(r'\d+$')
_UNITS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}  # ns by number of digits
_EPOCH = range(10**9, 2**31)  # seconds that a stamp can have, with ten digits


class ImageSource(NamedTuple):
    """
    Images in the order of time.

    `frames` are stamps (ns) with a file or an (H, W, 3) uint8 RGB array; `total` is their number,
    0 where it is not known; `text` says where the stamps come from; `notes` are a video's.
    """

    frames: Iterable[tuple[int, Path | np.ndarray]]
    total: int
    text: str
    notes: tuple[str, ...] = ()


def image_source(path: Path | str, rate_hz: float | None = None, stamps: str = 'auto'
                ) -> ImageSource:
    """
    Find the images of a folder or of a video.

    :param rate_hz: images per second; None for 15, and for the times that a video has.
    :param stamps: one of STAMPS; of a video, 'rate' leaves its times aside.
    :raises BagError: neither of them, a rate or `stamps` that is invalid, or stamps of names that
        have none.
    :raises ImageFileError: a folder without images.
    :raises VideoError: a video that cannot be read.
    """
    path = Path(path)
    _check_rate(rate_hz)
    if stamps not in STAMPS:
        raise BagError(f'stamps is {stamps!r}: choose one of {", ".join(STAMPS)}')
    if path.is_dir():
        return _of_files(list_images(path), rate_hz or DEFAULT_RATE_HZ, stamps)
    if is_image_name(path) or not is_video(path):
        raise BagError(f'{path} is neither a folder of images nor a video: give one of these')
    if stamps == 'names':
        raise BagError(f'{path} is a video, whose frames have no names: leave the choice of '
                       'stamps out (on the command line, --stamps)')
    info = video_info(path)
    if rate_hz or stamps == 'rate':
        source = at_rate((frame.image for frame in read_video(path)), rate_hz, info.frames)
    else:
        source = ImageSource(((START_NS + round(frame.time_s * 1e9), frame.image)
                              for frame in read_video(path)), info.frames,
                             'the times of the video')
    return source._replace(notes=info.notes)


def at_rate(images: Iterable[Path | np.ndarray], rate_hz: float | None = None, total: int = 0
            ) -> ImageSource:
    """
    Give images stamps at a rate.

    :raises BagError: a rate that cannot be; also later, where it leads beyond the last stamp.
    """
    _check_rate(rate_hz)
    rate = rate_hz or DEFAULT_RATE_HZ
    return ImageSource(_numbered(enumerate(images), rate), total,
                       f'{rate:g} Hz in the order of the images')


def _of_files(paths: Sequence[Path], rate_hz: float, stamps: str) -> ImageSource:
    reason = ''
    if stamps != 'rate':
        try:
            return _of_names(paths, rate_hz)
        except BagError as error:
            if stamps == 'names':
                raise BagError(f'{error}: rename them, or give stamps at a rate (on the command '
                               'line, --stamps rate)') from error
            reason = f' ({error})'
    source = at_rate(paths, rate_hz, len(paths))
    return source._replace(text=source.text + reason)


def _of_names(paths: Sequence[Path], rate_hz: float) -> ImageSource:
    times = [_time_ns(path.stem) for path in paths]
    if None not in times:
        return ImageSource(_sorted(times, paths), len(paths), 'times in the names')
    numbers = [_NUMBER.search(path.stem) for path in paths]
    for path, time, number in zip(paths, times, numbers, strict=True):
        if time is not None:
            raise BagError(f'{path.name} ends in a time, {paths[times.index(None)].name} does not')
        if number is None or len(number[0].lstrip('0')) > 9:
            raise BagError(f'{path.name} ends in no time, nor in the number of a frame')
    before = {path.stem[:number.start()]: path
              for path, number in zip(paths, numbers, strict=True)}
    if len(before) > 1:
        first, second, *_ = before.values()
        raise BagError(f'{first.name} and {second.name} differ before their numbers')
    frames = _sorted([int(number[0]) for number in numbers], paths)
    first = frames[0][0]
    return ImageSource(_numbered(((number - first, path) for number, path in frames), rate_hz),
                       len(paths), f'numbers in the names, at {rate_hz:g} Hz')


def _time_ns(stem: str) -> int | None:
    """Return the time since 1970 that a name ends in, ns."""
    if found := _SECONDS.search(stem):
        seconds, nanoseconds = int(found[1]), int((found[2] or found[3]).ljust(9, '0'))
        return seconds * 10**9 + nanoseconds if seconds in _EPOCH else None
    number = _NUMBER.search(stem)
    unit = _UNITS.get(len(number[0])) if number else None
    if unit is None or int(number[0]) * unit // 10**9 not in _EPOCH:
        return None
    return int(number[0]) * unit


def _sorted(keys: Sequence[int], paths: Sequence[Path]) -> list[tuple[int, Path]]:
    frames = sorted(zip(keys, paths, strict=True), key=lambda frame: frame[0])
    for (key, path), (following, other) in pairwise(frames):
        if key == following:
            raise BagError(f'{path.name} and {other.name} end in the same number')
    return frames


def _numbered(frames: Iterable[tuple[int, Path | np.ndarray]], rate_hz: float
              ) -> Iterator[tuple[int, Path | np.ndarray]]:
    for number, image in frames:
        seconds = number / rate_hz
        if seconds > _LONGEST_SECONDS:
            raise BagError(f'a rate of {rate_hz:g} Hz puts image {number + 1} after the last '
                           'stamp that there is, in 2038: use a higher rate')
        yield START_NS + round(seconds * 1e9), image


def _check_rate(rate_hz: float | None) -> None:
    if rate_hz is not None and not rate_hz > 0:
        raise BagError(f'rate_hz is {rate_hz}: use more than 0 (on the command line, --rate)')
