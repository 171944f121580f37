# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What encoded images say of themselves before they are decoded: format, size, where they end.

Also what of them is not read: an orientation, and further images. PNG: W3C PNG, 5; WebP: RFC 9649.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ubcn_ros.images import jpeg, tiff
from ubcn_ros.images.malformed import CUT, RECORDED_SO, MalformedImage, Remedy

MESSAGE_FORMATS = ('JPEG', 'PNG')
"""What a sensor_msgs/CompressedImage may hold."""
FILE_FORMATS = (*MESSAGE_FORMATS, 'BMP', 'WebP', 'TIFF')

_STARTS = {'JPEG': b'\xff\xd8\xff', 'PNG': b'\x89PNG\r\n\x1a\n', 'BMP': b'BM',
           'WebP': b'RIFF....WEBP', 'TIFF': b'II\\*\0|MM\0\\*|II\\+\0|MM\0\\+'}
_PATTERNS = {name: re.compile(start, re.DOTALL) for name, start in _STARTS.items()}
_LFS_POINTER = re.compile(b'version https://git-lfs')
_OTHER = Remedy('publish one of these, or raw images with input_transport:=raw',
                'record one of these, or raw images', 'convert it to PNG or JPEG')

# A PNG of MAX_PIXELS in chunks of 8 KiB, as libpng writes them, has fewer.
_MOST_CHUNKS = 1 << 16


class Header(NamedTuple):
    """Format and size in pixels of an encoded image; ``grey``: of one channel."""

    format: str
    height: int
    width: int
    grey: bool = False


def read_header(data: memoryview | bytes, formats: tuple[str, ...] = MESSAGE_FORMATS) -> Header:
    """
    Read format and size, unchecked, without decoding.

    :param data: the image, or its beginning.
    :param formats: names of those to take, of FILE_FORMATS.
    :raises MalformedImage: none of them, or a header without a size.
    """
    name = next((name for name in formats if _PATTERNS[name].match(data)), None)
    if not data:
        raise MalformedImage('compressed', 'an image of 0 bytes', CUT)
    if _LFS_POINTER.match(data):
        raise MalformedImage('compressed', f'{len(data)} bytes are a pointer of Git LFS', Remedy(
            'publish the image', RECORDED_SO, 'fetch the image by: git lfs pull'))
    if name is None:
        raise MalformedImage(
            'format', f"{len(data)} bytes beginning with '{bytes(data[:4]).hex(' ')}' are "
            f'neither {" nor ".join(formats)}', _OTHER)
    header = _READERS[name](data)
    if header is None:
        raise MalformedImage('compressed', f'{len(data)} bytes of {name} without a size in '
                             'the header', CUT)
    return header


def find_end(data: memoryview | bytes) -> int | None:
    """
    Find where a JPEG or PNG ends; what follows (padding, a video) is not part of it.

    :return: the number of its bytes; None where it has no end.
    """
    if _PATTERNS['PNG'].match(data):
        return _png_end(data)
    return jpeg.find_end(data)


def _jpeg_header(data: memoryview | bytes) -> Header | None:
    found = jpeg.read_frame(data)
    return found and Header('JPEG', found.height, found.width, found.channels == 1)


def _png_header(data: memoryview | bytes) -> Header | None:
    if len(data) < 26 or data[12:16] != b'IHDR':
        return None
    return Header('PNG', int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big'),
                  data[25] == 0)


def _png_end(data: memoryview | bytes) -> int | None:
    """Walk the chunks; a decoder allocates what a damaged one claims."""
    return next((min(end, len(data)) for name, _, end in _png_chunks(data) if name == b'IEND'),
                None)


def without_animation(data: memoryview | bytes) -> memoryview | bytes:
    """
    Return a PNG without what says that it is animated.

    Of one that is, OpenCV 4.14 may return another image than the default one, and crashes
    where pixels of a frame are damaged.
    """
    parts, begin = [], 0
    for name, start, end in _png_chunks(data):
        if name == b'acTL':
            parts.append(data[begin:start])
            begin = end
    return b''.join((*parts, data[begin:])) if parts else data


def _png_chunks(data: memoryview | bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and where it starts and ends."""
    start = 8
    for _ in range(_MOST_CHUNKS):
        if start + 12 > len(data):
            return
        end = start + 12 + int.from_bytes(data[start:start + 4], 'big')
        yield bytes(data[start + 4:start + 8]), start, end
        start = end


def orientation(data: memoryview | bytes) -> int:
    """Return the EXIF orientation of a JPEG, PNG or WebP, 1 to 8; 1, upright, where none is."""
    if _PATTERNS['JPEG'].match(data):
        exif = jpeg.exif(data)
    elif _PATTERNS['PNG'].match(data):
        exif = next((data[start + 8:end - 4] for name, start, end in _png_chunks(data)
                     if name == b'eXIf'), b'')
    elif _is_extended_webp(data):
        exif = next((data[start:end] for name, start, end in _webp_chunks(data)
                     if name == b'EXIF'), b'')
    else:
        return 1
    return tiff.orientation(bytes(exif).removeprefix(jpeg.EXIF))  # some write that to WebP, too


def holds_several(data: memoryview | bytes) -> bool:
    """Return whether a TIFF has further pages, or a PNG or WebP is animated."""
    if _PATTERNS['PNG'].match(data):
        return any(name == b'acTL' and int.from_bytes(data[start + 8:start + 12], 'big') > 1
                   for name, start, _ in _png_chunks(data))
    if _is_extended_webp(data):
        return bool(data[20] & 2)
    return _PATTERNS['TIFF'].match(data) is not None and tiff.has_pages(data)


def is_deep(data: memoryview | bytes) -> bool:
    """Return whether a PNG or TIFF has samples of 16 bits."""
    if _PATTERNS['PNG'].match(data):
        return data[24] == 16
    return _PATTERNS['TIFF'].match(data) is not None and tiff.is_deep(data)


def _is_extended_webp(data: memoryview | bytes) -> bool:
    return _PATTERNS['WebP'].match(data) is not None and data[12:16] == b'VP8X' and len(data) > 20


def _webp_chunks(data: memoryview | bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and where its content starts and ends."""
    start = 20
    while start <= len(data):
        end = start + int.from_bytes(data[start - 4:start], 'little')
        yield bytes(data[start - 8:start - 4]), start, end
        start = end + end % 2 + 8


def _bmp_header(data: memoryview | bytes) -> Header | None:
    if len(data) < 26:
        return None
    old = int.from_bytes(data[14:18], 'little') == 12  # of OS/2, with 16 bits a side
    size = 2 if old else 4
    width, height = (int.from_bytes(data[place:place + size], 'little', signed=not old)
                     for place in (18, 18 + size))
    return Header('BMP', abs(height), max(width, 0))  # negative: the top row comes first


def _webp_header(data: memoryview | bytes) -> Header | None:
    kind = bytes(data[12:16])
    if len(data) < 30:
        return None
    if kind == b'VP8 ':
        width, height = (int.from_bytes(data[at:at + 2], 'little') & 0x3fff for at in (26, 28))
    elif kind == b'VP8L':
        bits = int.from_bytes(data[21:25], 'little')
        width, height = (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1
    elif kind == b'VP8X':
        width, height = (int.from_bytes(data[at:at + 3], 'little') + 1 for at in (24, 27))
    else:
        return None
    return Header('WebP', height, width)


def _tiff_header(data: memoryview | bytes) -> Header | None:
    size = tiff.size(data)
    return size and Header('TIFF', *size)


_READERS = {'JPEG': _jpeg_header, 'PNG': _png_header, 'BMP': _bmp_header, 'WebP': _webp_header,
            'TIFF': _tiff_header}
