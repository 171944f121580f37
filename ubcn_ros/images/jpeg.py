# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The markers of a JPEG (ITU-T T.81, annex B): its size, how it is coded, and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# In image data any marker but those of restarts; 0 is not a marker. Elsewhere the next byte begins
# one; more of ff may fill the space before it.
_AFTER_SCAN = re.compile(b'\xff[^\x00\xd0-\xd7\xff]')
_NEXT = re.compile(b'\xff+[^\x00\xd0-\xd7\xff]')
_SOI, _EOI, _SOS = 0xd8, 0xd9, 0xda
_APP1 = 0xe1
EXIF = b'Exif\0\0'
"""What a segment of EXIF begins with; a TIFF follows."""
_FRAMES = {*range(0xc0, 0xd0)} - {0xc4, 0xc8, 0xcc}
# More than any camera or editor writes: a message of empty segments must not take seconds.
_MOST_MARKERS = 1 << 12


class Frame(NamedTuple):
    """
    What the header of a frame says, unchecked.

    ``coding``: n of its marker SOFn: 0 baseline, 1 extended, 2 progressive, 3 lossless, ...;
    ``bits`` of a sample; size in pixels; ``channels``.
    """

    coding: int
    bits: int
    height: int
    width: int
    channels: int

    @property
    def usual(self) -> bool:
        """Whether every decoder knows it."""
        return self.coding in (0, 1, 2) and self.bits == 8


def read_frame(data: memoryview | bytes) -> Frame | None:
    """Return what the header of the frame says; None where it is missing."""
    for marker, body in _markers(data):
        if marker == _SOS:
            return None
        if marker in _FRAMES and body + 8 <= len(data):
            return Frame(marker - 0xc0, data[body + 2],
                         int.from_bytes(data[body + 3:body + 5], 'big'),
                         int.from_bytes(data[body + 5:body + 7], 'big'), data[body + 7])
    return None


def find_end(data: memoryview | bytes) -> int | None:
    """Return the number of bytes up to the end marker; None where there is none."""
    return next((body for marker, body in _markers(data) if marker == _EOI), None)


def exif(data: memoryview | bytes) -> memoryview | bytes:
    """Return the segment of EXIF, from its name on; empty where there is none."""
    for marker, body in _markers(data):
        if marker == _SOS:
            break
        if marker == _APP1 and data[body + 2:body + 8] == EXIF:
            return data[body + 2:body + int.from_bytes(data[body:body + 2], 'big')]
    return b''


def scans(data: memoryview | bytes) -> int:
    """Return the number of scans up to the end marker: more than one where it is progressive."""
    return sum(marker == _SOS for marker, _ in _markers(data))


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
