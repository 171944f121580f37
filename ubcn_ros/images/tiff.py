# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of a TIFF: size, orientation, pages, and whether OpenCV returns what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ubcn_ros.images.malformed import MalformedImage, Remedy

# TIFF 6.0, sections 8, 18 and 19; BigTIFF
_KIND = 254  # bits: 1 is a smaller version of another image, 4 a mask
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION = 256, 257, 258, 259, 274
_COLOURS, _CHANNELS, _PLANAR, _TILE_WIDTH, _EXTRA_SAMPLES, _SAMPLE_FORMAT = (
    262, 277, 284, 322, 338, 339)
# none, LZW, JPEG, Deflate, PackBits; of some others OpenCV makes a black image
_COMPRESSIONS = (1, 5, 7, 8, 32946, 32773)
_MOST_PAGES = 64  # that are looked at: a damaged file may lead round in a circle
# bits -> kinds of colours: white is 0, black is 0, RGB, a palette, inks, YCbCr, L*a*b*
_KNOWN_COLOURS = {8: (0, 1, 2, 3, 5, 6, 8), 16: (0, 1, 2, 8)}
_COLOUR_NAMES = {3: 'a palette', 5: 'CMYK', 6: 'YCbCr'}
# type of a field -> bytes of a value: those of whole numbers, which decoders take for each other
_BYTES = {1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4, 16: 8, 17: 8}


def size(data: memoryview | bytes) -> tuple[int, int] | None:
    """Return height and width in pixels, unchecked; None where they are missing."""
    fields = _fields(data)
    return (fields[_HEIGHT], fields[_WIDTH]) if {_HEIGHT, _WIDTH} <= fields.keys() else None


def orientation(data: memoryview | bytes) -> int:
    """Return the orientation, 1 to 8; 1, upright, where there is none. EXIF has it in a TIFF."""
    found = _fields(data).get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def is_deep(data: memoryview | bytes) -> bool:
    """Return whether its samples have 16 bits."""
    return _fields(data).get(_BITS) == 16


def has_pages(data: memoryview | bytes) -> bool:
    """Return whether other images follow the first: not its mask, nor one at a smaller size."""
    return any(not fields.get(_KIND, 0) & 5
               for fields in islice(_directories(data), 1, _MOST_PAGES))


def check(data: memoryview | bytes) -> None:
    """
    Check that OpenCV can return what is stored; strips are not decompressed for that.

    :raises MalformedImage: samples that are signed, floating point, of other bits than 8 or 16, or
        more than four; colours or a compression that it does not know; tiles, separate planes, an
        orientation, or unassociated alpha.
    """
    fields = _fields(data)
    bits, channels, kind, compression = (fields.get(tag, 1) for tag in (
        _BITS, _CHANNELS, _SAMPLE_FORMAT, _COMPRESSION))
    colours, planar, orientation, alpha = (fields.get(tag, 1) for tag in (
        _COLOURS, _PLANAR, _ORIENTATION, _EXTRA_SAMPLES))
    name = {2: 'signed ', 3: 'floating point '}.get(kind, '')
    if name or bits not in (8, 16):
        raise _unfit(f'of {name}samples of {bits} bit{"s" * (bits > 1)}',
                     'unsigned samples of 8 or 16 bits')
    if channels > 4:
        raise _unfit(f'of {channels} channels', 'RGB or grey')
    if colours not in _KNOWN_COLOURS[bits]:
        kind = _COLOUR_NAMES.get(colours, f'photometric interpretation {colours}')
        raise _unfit(f'of {kind} in {bits} bits', 'RGB or grey')
    if compression not in _COMPRESSIONS:
        raise _unfit(f'compressed by method {compression} cannot be decoded',
                     'PNG, or to a TIFF compressed by LZW or Deflate')
    for found, what in (
            (_TILE_WIDTH in fields, 'of tiles'),  # it misplaces rows of those that are not filled
            (planar != 1, 'of separate planes'),  # of which it takes a part for the whole
            (orientation != 1, f'of orientation {orientation}'),  # turned, whatever it is told
            (alpha == 2, 'of unassociated alpha')):  # by which it multiplies colours
        if found:
            raise _unfit(f'{what} cannot be read as it is stored', 'PNG')


def _unfit(found: str, needed: str) -> MalformedImage:
    text = f'convert it to {needed}'
    return MalformedImage('compressed', f'a TIFF {found}', Remedy(text, text, text))


def _fields(data: memoryview | bytes) -> dict[int, int]:
    """Return the first value of each field of whole numbers of the first image, by tag."""
    return next(_directories(data), {})


def _directories(data: memoryview | bytes) -> Iterator[dict[int, int]]:
    """Yield the fields of each image; without an end where a damaged file leads back."""
    if len(data) < 8:
        return
    order = 'little' if data[0] == ord('I') else 'big'
    big = ord('+') in (data[2], data[3])  # BigTIFF: offsets of 64 bits
    offset = 8 if big else 4

    def number(place: int, count: int) -> int:
        return int.from_bytes(data[place:place + count], order)

    start = number(8, 8) if big else number(4, 4)
    while start:
        first, entry = (start + 8, 20) if big else (start + 2, 12)
        entries = min(number(start, first - start), (len(data) - first) // entry)
        fields: dict[int, int] = {}
        end = first + max(0, entries) * entry
        for place in range(first, end, entry):
            size = _BYTES.get(number(place + 2, 2))
            if size is None:
                continue
            value = place + 4 + offset
            if size * number(place + 4, offset) > offset:
                value = number(value, offset)
            if value + size <= len(data):
                fields.setdefault(number(place, 2), number(value, size))
        yield fields
        start = number(end, offset)
