# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Encoded images (JPEG, PNG, in files also BMP, WebP and TIFF) to arrays; all or nothing."""

from __future__ import annotations

import cv2
import numpy as np

from ubcn_ros.images import jpeg, tiff
from ubcn_ros.images.encodings import demosaic
from ubcn_ros.images.formats import MESSAGE_FORMATS, find_end, read_header, without_animation
from ubcn_ros.images.malformed import CUT, DAMAGED, MalformedImage, Remedy, check_size

# Most pixels that a byte can stand for. JPEG: one bit per 8 x 8 block at least; PNG: deflate
# shrinks to 1/1032 at most, and a pixel takes one bit at least.
_DENSEST = {'JPEG': 8 * 64, 'PNG': 8 * 1032}
# What 128 in every component becomes: of YCbCr, RGB and grey; of CMYK; of YCCK.
_PAINTED = (128, 65, 64)
_BASELINE = 'a baseline JPEG (SOF0) of 8 bits'
_UNKNOWN = Remedy(f'publish {_BASELINE}', f'record {_BASELINE}', f'convert it to {_BASELINE}')
# Image data for a JPEG that has not enough of it. No ff, which would begin a marker; the first
# byte is 0, so that one before it does not begin one either.
_FILLER = bytes(number * 151 % 255 for number in range(4096))


def decode(data: memoryview | bytes, formats: tuple[str, ...] = MESSAGE_FORMATS,
           mosaic: str | None = None) -> np.ndarray:
    """
    Decode an image; its size is checked, also against the number of bytes, before that.

    Bytes behind the end of a JPEG or PNG are ignored, and so is an orientation, but that of a TIFF
    is refused, as is all else of it that OpenCV does not read as stored. Samples of 16 bits are
    scaled to 8 as OpenCV does it: of PNG and of grey TIFF the high byte is taken, of others they
    are rounded, as raw messages are. Alpha is dropped; of several images the first is taken, of an
    animated PNG its default image. A JPEG has no checksum: wrong bytes amid its image data are not
    found, nor, where an end marker follows, that scans of a progressive one are missing or cut,
    or all from a restart marker on. Nor are wrong bytes amid the compressed strips of a TIFF.

    :param data: the image's bytes.
    :param formats: names of those to take, of FILE_FORMATS.
    :param mosaic: a bayer_* encoding: the mosaic that an image of one channel holds.
    :return: (H, W, 3) uint8 RGB.
    :raises MalformedImage: none of the formats, cut short, damaged, or of a size out of range.
    :raises cv2.error: out of memory.
    """
    header = read_header(data, formats)
    height, width = header.height, header.width
    check_size(height, width)
    if height * width > len(data) * _DENSEST.get(header.format, height * width):
        raise MalformedImage('compressed', f'{len(data)} bytes cannot hold the {width} x {height} '
                             'pixels that their header promises', CUT)
    if header.format in MESSAGE_FORMATS:
        end = find_end(data)
        if end is None:
            raise MalformedImage('compressed', f'{len(data)} bytes of a {width} x {height} image '
                                 'end before its end marker', CUT)
        data = data[:end] if header.format == 'JPEG' else without_animation(data[:end])
    elif header.format == 'TIFF':
        tiff.check(data)
    colours = mosaic is None or not header.grey
    image = _decode(data, height, width,
                    cv2.IMREAD_COLOR if colours else cv2.IMREAD_GRAYSCALE)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image) if colours else \
        demosaic(mosaic, image)


def is_of_memory(error: cv2.error) -> bool:
    """Return whether OpenCV got no memory, which says nothing of the image."""
    return 'Insufficient memory' in str(error)  # `code` is that of the last error of any thread


def _decode(data: memoryview | bytes, height: int, width: int, flags: int) -> np.ndarray:
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if is_of_memory(error):
            raise
        image = None
    if image is None or image.shape[:2] != (height, width):
        frame = jpeg.read_frame(data) if data[0] == 0xff else None
        if frame and not frame.usual:
            raise MalformedImage('compressed', f'a JPEG of {frame.bits} bits a sample that is '
                                 f'coded as SOF{frame.coding} cannot be decoded', _UNKNOWN)
        raise MalformedImage('compressed', f'{len(data)} bytes with the header of a {width} x '
                             f'{height} image cannot be decoded', DAMAGED)
    # libjpeg paints what it has no data for in a grey: seen in the corner, as far as that lies in
    # the last block, 16 pixels large at most.
    corner = image[tuple(slice(-1 if 0 < side % 16 < 5 else -4, None) for side in (height, width))]
    if data[0] == 0xff and np.isin(corner, _PAINTED).all() and _lacks_rows(data):
        raise MalformedImage('compressed', f'{len(data)} bytes of a {width} x {height} image '
                             'have an end marker but no data for its last rows', CUT)
    return image


def _lacks_rows(data: memoryview | bytes) -> bool:
    """
    Say whether more image data would change a JPEG, as where it is cut.

    It is decoded twice more at an eighth of its size, which takes less than once at its own. The
    filler comes without an end marker: at one, libjpeg warns of all that a whole image leaves
    over, and without it waits for more in silence.
    """
    if jpeg.scans(data) > 1:  # a cut is in the last one then, and the first painted all rows
        return False
    small, filled = (cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
                     for file in (data, b''.join((data[:-2], _FILLER))))
    return not np.array_equal(small, filled)
