# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of a TIFF's first image: its size, its samples, and what OpenCV makes of them."""

from __future__ import annotations

from ubcn_ros.images.malformed import MalformedImage, Remedy

# TIFF 6.0, sections 8, 18 and 19; BigTIFF
_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _CHANNELS = 256, 257, 258, 274, 277
_TILE_WIDTH, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 322, 338, 339
_UPRIGHT, _ASSOCIATED_ALPHA = 1, 1
# type of a field -> bytes of a value: those of whole numbers, which decoders take for each other
_BYTES = {1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4, 16: 8, 17: 8}


def size(data: memoryview | bytes) -> tuple[int, int] | None:
    """Return height and width in pixels, unchecked; None where they are missing."""
    fields = _fields(data)
    if _WIDTH not in fields or _HEIGHT not in fields:
        return None
    height, width = (_value(data, fields[tag]) for tag in (_HEIGHT, _WIDTH))
    return height, width


def check_samples(data: memoryview | bytes) -> None:
    """
    Check that OpenCV can make colours of the samples.

    :raises MalformedImage: signed, floating point, of 9 to 15 bits or more than 16, or more than
        four.
    """
    fields = _fields(data)
    bits, channels, kind = (_value(data, fields[tag]) if tag in fields else 1
                            for tag in (_BITS, _CHANNELS, _SAMPLE_FORMAT))
    name = {2: 'signed ', 3: 'floating point '}.get(kind, '')
    if name or 8 < bits != 16:
        raise _unfit(f'{name}samples of {bits} bits', 'unsigned samples of 8 or 16 bits')
    if channels > 4:
        raise _unfit(f'{channels} channels', 'RGB or grey')


def as_stored(data: memoryview | bytes) -> bytearray:
    """
    Change the fields by which OpenCV changes pixels, so that it returns what is stored.

    It turns a TIFF even where it is told not to, multiplies colours by an alpha of their own, and
    misplaces rows of tiles that are not filled: the image becomes as wide as its tiles are.
    """
    fields = _fields(data)
    changed = bytearray(data)
    new = {_ORIENTATION: _UPRIGHT, _EXTRA_SAMPLES: _ASSOCIATED_ALPHA}
    if _TILE_WIDTH in fields and (tile := _value(data, fields[_TILE_WIDTH])):
        new[_WIDTH] = -(-_value(data, fields[_WIDTH]) // tile) * tile
    for tag, value in new.items():
        if tag in fields:
            place, count, order = fields[tag]
            if value.bit_length() <= 8 * count:
                changed[place:place + count] = value.to_bytes(count, order)
    return changed


def _unfit(found: str, needed: str) -> MalformedImage:
    text = f'convert it to {needed}'
    return MalformedImage('compressed', f'a TIFF of {found}', Remedy(text, text, text))


def _value(data: memoryview | bytes, field: tuple[int, int, str]) -> int:
    place, count, order = field
    return int.from_bytes(data[place:place + count], order)


def _fields(data: memoryview | bytes) -> dict[int, tuple[int, int, str]]:
    """Find the whole numbers, of several the first: tag -> place, bytes and their order."""
    order = 'little' if data[0] == ord('I') else 'big'
    big = ord('+') in (data[2], data[3])  # BigTIFF: offsets of 64 bits
    offset = 8 if big else 4

    def number(place: int, count: int) -> int:
        return int.from_bytes(data[place:place + count], order)

    start = number(8, 8) if big else number(4, 4)
    first, entry = (start + 8, 20) if big else (start + 2, 12)
    entries = min(number(start, first - start), (len(data) - first) // entry)
    fields = {}
    for place in range(first, first + entries * entry, entry):
        count = _BYTES.get(number(place + 2, 2))
        if count is None:
            continue
        value = place + 4 + offset
        if count * number(place + 4, offset) > offset:
            value = number(value, offset)
        if value + count <= len(data):
            fields.setdefault(number(place, 2), (value, count, order))
    return fields
