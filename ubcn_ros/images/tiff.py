# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fields of a TIFF's first image: its size, its samples, and what OpenCV makes of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ubcn_ros.images.malformed import CUT, DAMAGED, MAX_PIXELS, MalformedImage, Remedy

# TIFF 6.0, sections 8, 18 and 19; BigTIFF
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 259, 262, 274
_CHANNELS, _PLANAR, _TILE_WIDTH, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 277, 284, 322, 338, 339
_PARTS = ((273, 279), (324, 325))  # places and lengths of strips, and of tiles
_UPRIGHT, _ASSOCIATED_ALPHA, _PALETTE, _PLANES = 1, 1, 3, 2
_DEFLATE = (8, 32946)
_COMPRESSIONS = (1, 2, 3, 4, 5, 7, *_DEFLATE, 32771, 32773)
_MOST_BYTES, _CHUNK = 8 * MAX_PIXELS, 1 << 20
# that some builds of libtiff have
_OPTIONAL = {6: 'old-style JPEG', 34661: 'JBIG', 34887: 'LERC', 34925: 'LZMA', 50000: 'Zstandard',
             50001: 'WebP'}
# of which OpenCV makes a black image
_OTHER = {33003: 'JPEG 2000', 33005: 'JPEG 2000', 34712: 'JPEG 2000', 34892: 'lossy JPEG',
          50002: 'JPEG XL', 52546: 'JPEG XL'}
# type of a field -> bytes of a value: those of whole numbers, which decoders take for each other
_BYTES = {1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4, 16: 8, 17: 8}


def size(data: memoryview | bytes) -> tuple[int, int] | None:
    """Return height and width in pixels, unchecked; None where they are missing."""
    fields = _fields(data)
    if _WIDTH not in fields or _HEIGHT not in fields:
        return None
    height, width = (_value(data, fields[tag]) for tag in (_HEIGHT, _WIDTH))
    return height, width


class _Field(NamedTuple):
    """``place`` of ``count`` values of ``size`` bytes each, in an order."""

    place: int
    size: int
    order: str
    count: int


def check(data: memoryview | bytes) -> None:
    """
    Check that OpenCV can make colours of the samples, and finds all of them.

    Of planes it takes any part for the whole, and of a deflated strip or tile what comes before
    the damage.

    :raises MalformedImage: samples that are signed, floating point, of other bits than 8 or 16
        (or 1, or 4 with a palette), or more than four; a compression that it does not know; cut
        short, or damaged.
    """
    fields = _fields(data)
    bits, channels, kind, planar, compression, meaning = (
        _value(data, fields[tag]) if tag in fields else 1 for tag in (
            _BITS, _CHANNELS, _SAMPLE_FORMAT, _PLANAR, _COMPRESSION, _PHOTOMETRIC))
    name = {2: 'signed ', 3: 'floating point '}.get(kind, '')
    known = bits in (8, 16) or channels == 1 and (
        bits == 1 and _TILE_WIDTH not in fields or bits == 4 and meaning == _PALETTE)
    if name or not known:
        raise _unfit(f'a TIFF of {name}samples of {bits} bit{"s" * (bits > 1)}',
                     'unsigned samples of 8 or 16 bits')
    if channels > 4:
        raise _unfit(f'a TIFF of {channels} channels', 'RGB or grey')
    if compression not in (*_COMPRESSIONS, *_OPTIONAL):
        raise _compressed(_OTHER.get(compression, f'method {compression}'))
    if planar == _PLANES:
        end = max((start + length for start, length in _parts(data, fields)), default=0)
        if end > len(data):
            raise MalformedImage('compressed', f'{len(data)} bytes of a TIFF of {end} bytes', CUT)
    if compression in _DEFLATE:
        _check_deflated(data, fields)


def _check_deflated(data: memoryview | bytes, fields: dict[int, _Field]) -> None:
    room = _MOST_BYTES
    for start, length in _parts(data, fields):
        stream, rest = zlib.decompressobj(), data[start:start + length]
        whole = not rest  # a part without bytes stands for zeros
        try:
            while room > 0 and (inflated := stream.decompress(rest, _CHUNK)):
                room, rest = room - len(inflated), stream.unconsumed_tail
            whole |= stream.eof or room <= 0
        except zlib.error:
            whole = False
        if not whole:
            raise MalformedImage('compressed', f'{len(data)} bytes of a TIFF whose bytes {start} '
                                 f'to {start + length} cannot be inflated', DAMAGED)


def check_compression(data: memoryview | bytes) -> None:
    """Raise MalformedImage where it may be why OpenCV cannot decode the image."""
    fields = _fields(data)
    if _COMPRESSION in fields and (name := _OPTIONAL.get(_value(data, fields[_COMPRESSION]))):
        raise _compressed(name)


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
            place, size, order, _ = fields[tag]
            if value.bit_length() <= 8 * size:
                changed[place:place + size] = value.to_bytes(size, order)
    return changed


def _unfit(found: str, needed: str) -> MalformedImage:
    text = f'convert it to {needed}'
    return MalformedImage('compressed', found, Remedy(text, text, text))


def _compressed(method: str) -> MalformedImage:
    return _unfit(f'a TIFF compressed by {method} cannot be decoded',
                  'PNG, or to a TIFF compressed by LZW or Deflate')


def _parts(data: memoryview | bytes, fields: dict[int, _Field]) -> Iterator[tuple[int, int]]:
    """Yield place and length of each strip or tile."""
    for tags in _PARTS:
        if all(tag in fields for tag in tags):
            yield from zip(*(_values(data, fields[tag]) for tag in tags), strict=False)


def _value(data: memoryview | bytes, field: _Field) -> int:
    return int.from_bytes(data[field.place:field.place + field.size], field.order)


def _values(data: memoryview | bytes, field: _Field) -> list[int]:
    count = min(field.count, (len(data) - field.place) // field.size)
    kind = f'{"<" if field.order == "little" else ">"}u{field.size}'
    return np.frombuffer(data, kind, count, field.place).tolist()


def _fields(data: memoryview | bytes) -> dict[int, _Field]:
    """Find the whole numbers, by tag."""
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
        size = _BYTES.get(number(place + 2, 2))
        if size is None:
            continue
        value, count = place + 4 + offset, number(place + 4, offset)
        if size * count > offset:
            value = number(value, offset)
        if value + size <= len(data):
            fields.setdefault(number(place, 2), _Field(value, size, order, count))
    return fields
