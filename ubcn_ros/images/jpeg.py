# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The markers of a JPEG (ITU-T T.81, annex B): its size, its end, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# In image data any marker but those of restarts; 0 is no marker. Elsewhere the next byte begins
# one; more of ff may fill the space before it.
_AFTER_SCAN = re.compile(b'\xff[^\x00\xd0-\xd7\xff]')
_NEXT = re.compile(b'\xff+[^\x00\xd0-\xd7\xff]')
_RESTART = re.compile(b'\xff[\xd0-\xd7]')
_SOI, _EOI, _SOS, _DRI = 0xd8, 0xd9, 0xda, 0xdd
_FRAMES = {*range(0xc0, 0xd0)} - {0xc4, 0xc8, 0xcc}
_PROGRESSIVE = {0xc2, 0xc6, 0xca, 0xce}
# More than any camera or editor writes: a message of empty segments must not take seconds.
_MOST_MARKERS = 1 << 12
_COEFFICIENTS, _NEVER_SENT = 64, 255
_ZEROS, _NOT_ZERO = bytes(128), re.compile(b'[^\0]')


def size(data: memoryview | bytes) -> tuple[int, int, int] | None:
    """Return height and width in pixels, unchecked, and channels; None where they are missing."""
    for marker, body in _markers(data):
        if marker == _SOS:
            return None
        if marker in _FRAMES and body + 8 <= len(data):
            return (int.from_bytes(data[body + 3:body + 5], 'big'),
                    int.from_bytes(data[body + 5:body + 7], 'big'), data[body + 7])
    return None


def find_end(data: memoryview | bytes) -> int | None:
    """Return the number of bytes up to the end marker; None where there is none."""
    return next((body for marker, body in _markers(data) if marker == _EOI), None)


def has_gaps(data: memoryview | bytes) -> bool:
    """
    Return whether a JPEG with an end marker was cut before it, as far as markers tell.

    That is: a scan has fewer restart markers than its size asks for, or some coefficients of a
    component come in no scan, or without their last bits.
    """
    interval, frame, scan = 0, None, None
    # component -> for each coefficient, how many of its low bits are still to come
    bits: dict[int, list[int]] = {}
    for marker, body in _markers(data):
        if scan and len(_RESTART.findall(data, scan[1], body)) < scan[0]:
            return True
        scan = None
        segment = data[body + 2:body + int.from_bytes(data[body:body + 2], 'big')]
        if marker == _DRI:
            interval = int.from_bytes(segment[:2], 'big')
        elif marker in _FRAMES:
            frame = _Frame.read(segment, marker in _PROGRESSIVE)
            if frame is None:
                return False  # for the decoder to refuse
            bits = {name: [_NEVER_SENT] * _COEFFICIENTS for name in frame.sampling}
        elif marker == _SOS:
            names = segment[1:-3:2]
            if frame is None or not names or not {*names} <= {*bits}:
                return False
            first, last, low = segment[-3], segment[-2], segment[-1] & 15
            if not frame.progressive:  # some encoders leave other numbers there
                first, last, low = 0, _COEFFICIENTS - 1, 0
            for name in names:
                bits[name][first:last + 1] = [low] * (last + 1 - first)
            if interval:
                scan = (-(-frame.units(names) // interval) - 1, body)
    return any(map(any, bits.values()))


def find_hole(data: memoryview | bytes, least: int) -> tuple[int, int] | None:
    """
    Find a run of zeros in image data that may stand for what is lost, as from bad sectors.

    It may be right, too, where an encoder made its own tables for an image that is flat.

    :param least: how many bytes follow the run at least; zeros before a marker fill up.
    :return: where the data after the run ends, fill bytes (00 and ff) left out, and where the next
        marker begins; None where there is no such run.
    """
    data = bytes(data)  # which are searched faster
    start = next((body for marker, body in _markers(data) if marker == _SOS), len(data))
    if data.find(_ZEROS, start) < 0:  # nearly always
        return None
    start = None
    for marker, body in _markers(data):
        if start is not None and (found := data.find(_ZEROS, start, body)) >= 0:
            after = _NOT_ZERO.search(data, found).start()
            restart = _RESTART.search(data, after, body)
            end = restart.start() if restart else body - 2
            last = end
            while last > after and data[last - 1] in (0, 0xff):
                last -= 1
            if last - after >= least:
                return last, end
        start = body if marker == _SOS else None
    return None


class _Frame(NamedTuple):
    """Size in pixels, and for each component its samples across and down in the largest unit."""

    height: int
    width: int
    sampling: dict[int, tuple[int, int]]
    progressive: bool

    @classmethod
    def read(cls, segment: memoryview | bytes, progressive: bool) -> _Frame | None:
        """Read the body of a frame header; None where it is damaged, or names are not unique."""
        sampling = {segment[at]: divmod(segment[at + 1], 16)
                    for at in range(6, len(segment) - 2, 3)}
        if not sampling or len(sampling) != segment[5] or not all(map(all, sampling.values())):
            return None
        return cls(int.from_bytes(segment[1:3], 'big'), int.from_bytes(segment[3:5], 'big'),
                   sampling, progressive)

    def units(self, names: memoryview | bytes) -> int:
        """Count the units (MCUs) of a scan of these components: A.2."""
        most_across, most_down = (max(counts) for counts in zip(*self.sampling.values(),
                                                                strict=True))
        if len(names) > 1:
            return -(-self.width // (8 * most_across)) * -(-self.height // (8 * most_down))
        across, down = self.sampling[names[0]]
        columns, rows = -(-self.width * across // most_across), -(-self.height * down // most_down)
        return -(-columns // 8) * -(-rows // 8)


def _markers(data: memoryview | bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and where its body begins, up to the end marker or the first wrong one."""
    position, find = 2, _NEXT.match
    for _ in range(_MOST_MARKERS):
        found = find(data, position)
        if found is None:
            return
        marker, position = data[found.end() - 1], found.end()
        # A second start means another image: this one was cut. 02 to bf are reserved.
        if marker == _SOI or 0x01 < marker < 0xc0:
            return
        yield marker, position
        if marker == _EOI:
            return
        if marker != 0x01:  # the only other one without a body
            position += int.from_bytes(data[position:position + 2], 'big')
        find = _AFTER_SCAN.search if marker == _SOS else _NEXT.match
