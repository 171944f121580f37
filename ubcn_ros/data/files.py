# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of data sets: images, and PNGs of class ids or measurements, whose values are kept."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ubcn_ros.images import files
from ubcn_ros.images.formats import without_animation
from ubcn_ros.images.malformed import MAX_PIXELS, MalformedImage
from ubcn_ros.text_table import listed

_PNG_START = b'\x89PNG\r\n\x1a\n'
_JPEG_START = b'\xff\xd8\xff'
_GREY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6  # colour types: PNG specification, 11.2.2
_SPREAD = {1: 1, 2: 85, 4: 17, 8: 1}
_COLOUR_TYPES = {_GREY: 'grey', _RGB: 'RGB', _PALETTE: 'palette', 4: 'grey and alpha',
                 _RGBA: 'RGBA'}


class DataSetError(ValueError):
    """
    A data set is not where or what it should be; the text says what was expected.

    :param kind: groups errors of files: 'damaged', 'missing', 'size' (too small or too large),
        'mismatch' (another size than the image), 'format' (no PNG where ids are stored),
        'channels' (a PNG of colours or of other bits), 'ids' (numbers or colours that no class
        has); empty where the error is of no file's content.
    :param stored: what a mask of the kind 'ids' holds, (H, W) or (H, W, 3), else None.
    """

    def __init__(self, text: str, kind: str = '', stored: np.ndarray | None = None) -> None:
        super().__init__(text)
        self.kind, self.stored = kind, stored


def read_image(path: Path) -> np.ndarray:
    """
    Read an image as ``ubcn derain`` does: EXIF orientation is ignored, as in the labels.

    :return: (H, W, 3) uint8 RGB, H and W at least 32.
    :raises DataSetError: missing, no image, damaged, or of a size out of range.
    """
    try:
        return files.read_image(path)
    except files.ImageFileError as error:
        cause = error.__cause__
        kind = ('missing' if isinstance(cause, OSError) else
                'size' if isinstance(cause, MalformedImage) and cause.kind == 'size' else
                'damaged')
        raise DataSetError(str(error), kind) from error


def check_size(path: Path | None, values: np.ndarray, image_path: Path | None,
               image: np.ndarray) -> None:
    """Raise DataSetError, naming both files and sizes, unless the two are of one size."""
    if values.shape[:2] == image.shape[:2]:
        return
    turned = values.shape[:2] == image.shape[1::-1]
    if files.is_image_name(path):
        said = path
        remedy = ('one is turned; turn its pixels, for an EXIF orientation is not applied'
                  if turned else
                  'they must be of one size; resize one of them (labels by nearest neighbour)')
    else:  # labels of many scenes in one file
        said = f'the entry of {image_path.name} in {path}'
        remedy = ('one is turned; turn the pixels of the image, for an EXIF orientation is not '
                  'applied, or correct' if turned else 'correct') + (
                      ' width and height of the entry and export again')
    raise DataSetError(
        f'{said} is {values.shape[1]}x{values.shape[0]} but {image_path} is '
        f'{image.shape[1]}x{image.shape[0]}: {remedy}', 'mismatch')


def read_labels(path: Path, meaning: Mapping[int, int]) -> np.ndarray:
    """
    Read a PNG of class ids, grey or with a palette; what counts are the numbers it stores.

    :param meaning: class id of every number that a file may hold.
    :return: (H, W) uint8 class ids.
    :raises DataSetError: missing, damaged, too large, not such a PNG, or another number.
    """
    stored = read_png(path, 8, 'class ids')
    table, unknown = np.zeros(256, np.uint8), np.ones(256, np.uint8)
    known = list(meaning)
    table[known], unknown[known] = list(meaning.values()), 0
    # cv2.LUT: at most a third of the time of indexing
    if cv2.LUT(stored, unknown).any():
        found = set(np.unique(stored).tolist()) - set(known)
        raise DataSetError(f'{path} holds {_ranges(found)}, which no class has: expected the ids '
                           f'{_ranges(known)}; say their classes as names in a YAML, or list them '
                           'there in label_mapping or ignore; or change them to 255, unlabeled',
                           'ids', stored)
    return cv2.LUT(stored, table)


def read_png(path: Path, bits: int, what: str) -> np.ndarray:
    """
    Read the numbers that a single-channel PNG stores: of a palette the indices, not the colours.

    :param bits: 8 for a PNG of 1, 2, 4 or 8 bits, grey or palette; 16 for grey of 16 bits.
    :param what: is in it, for the errors.
    :return: (H, W) uint8 or uint16.
    :raises DataSetError: missing, damaged, too large, or not such a PNG.
    """
    wanted = f'{"single-channel" if bits == 16 else "grey or palette"} {bits}-bit PNG of {what}'
    fits = ({(_GREY, 16)} if bits == 16 else
            {(colour, depth) for colour in (_GREY, _PALETTE) for depth in _SPREAD})
    values, _, (colour, depth) = _decoded(path, fits, wanted)
    if bits == 16:
        return values.astype(np.uint16, copy=False)
    values = values.astype(np.uint8)
    # Pillow spreads grey of few bits over 0..255, but for a single bit
    return values // _SPREAD[depth] if colour == _GREY else values


def read_color_labels(path: Path, colors: Sequence[tuple[int, int, int]],
                      meaning: Mapping[int, int]) -> np.ndarray:
    """
    Read a PNG whose colours say the classes: RGB, RGBA, grey or a palette; alpha does not count.

    :param colors: RGB, 0..255, each once.
    :param meaning: class id of every place in ``colors``.
    :return: (H, W) uint8 class ids.
    :raises DataSetError: missing, damaged, too large, not such a PNG, or another colour.
    """
    fits = {(colour, 8) for colour in (_GREY, _RGB, _RGBA)} | {
        (_PALETTE, depth) for depth in _SPREAD}
    values, palette, (colour, _) = _decoded(path, fits, 'PNG in the colours of the classes')
    known = np.array([_packed(np.array(color)) for color in colors])
    order = np.argsort(known)
    places = np.array([meaning[int(i)] for i in order], np.uint8)
    found, back = (palette, values) if colour == _PALETTE else (
        (np.repeat(values[..., None], 3, -1) if colour == _GREY else values[..., :3]), None)
    found = _packed(found)
    nearest = np.minimum(np.searchsorted(known[order], found), len(known) - 1)
    unknown = known[order][nearest] != found
    ids = places[nearest]
    if back is not None:
        used = np.bincount(back.ravel(), minlength=len(found)) > 0
        if len(used) > len(found):
            raise DataSetError(f'{path} has pixels beyond its palette of {len(found)} colours: '
                               'export it again', 'damaged')
        unknown, ids = unknown & used, ids[back]
    if unknown.any():
        strange = [f'{c >> 16},{c >> 8 & 255},{c & 255}' for c in np.unique(found[unknown])]
        raise DataSetError(f'{path} has the colours {listed(strange, separator="; ")}, which no '
                           'class has: export it again, with a list of classes that has them',
                           'ids', values)
    return ids


def _packed(colors: np.ndarray) -> np.ndarray:
    """(..., 3) colours as one number each."""
    return colors.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def _decoded(path: Path, fits: Collection[tuple[int, int]], wanted: str
             ) -> tuple[np.ndarray, np.ndarray | None, tuple[int, int]]:
    """
    Decode a PNG whole or not at all.

    :param fits: colour types and bits that are taken.
    :param wanted: these, for the errors.
    :return: the numbers that it stores, its palette (N, 3), and its colour type and bits.
    """
    from PIL.PngImagePlugin import PngImageFile  # of the extra train

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataSetError(f'{path} cannot be read: {error.strerror or error}',
                           'missing') from error
    if not data.startswith(_PNG_START) or len(data) < 33:
        kind = ('a JPEG, whose compression changes numbers' if data.startswith(_JPEG_START) else
                f'not a PNG ({len(data)} bytes)')
        raise DataSetError(f'{path} is {kind}: replace it by a {wanted}',
                           'damaged' if _PNG_START.startswith(data[:8]) else 'format')
    width, height = int.from_bytes(data[16:20], 'big'), int.from_bytes(data[20:24], 'big')
    depth, colour = data[24], data[25]
    if (colour, depth) not in fits:
        kind = _COLOUR_TYPES.get(colour, 'unknown')
        raise DataSetError(f'{path} is a PNG ({kind}, {depth} bits): convert it to a {wanted}',
                           'channels')
    if not width * height:
        raise DataSetError(f'{path} is damaged ({width}x{height} pixels): replace it by a '
                           f'{wanted}', 'damaged')
    if width * height > MAX_PIXELS:
        raise DataSetError(f'{path} is {width}x{height}, above the limit of {MAX_PIXELS} pixels: '
                           'make image and labels smaller', 'size')
    try:
        PngImageFile(io.BytesIO(data)).verify()  # the checksums, which decoding leaves out
        # OpenCV refuses a PNG that lacks whole rows, in which Pillow would read 0
        if cv2.imdecode(np.frombuffer(without_animation(data), np.uint8),
                        cv2.IMREAD_UNCHANGED) is None:
            raise ValueError('rows of it are missing')
        with PngImageFile(io.BytesIO(data)) as png:
            values = np.asarray(png)
            palette = (np.array(png.getpalette(), np.uint8).reshape(-1, 3)
                       if colour == _PALETTE else None)
    except Exception as error:  # Pillow's parsers raise a dozen types
        raise DataSetError(f'{path} is damaged ({error}): replace it by a {wanted}',
                           'damaged') from error
    return values, palette, (colour, depth)


def _ranges(ids: Collection[int]) -> str:
    """Write numbers as '0..10, 255'."""
    parts: list[list[int]] = []
    for i in sorted(ids):
        if parts and parts[-1][-1] == i - 1:
            parts[-1][1:] = [i]
        else:
            parts.append([i])
    return ', '.join('..'.join(map(str, part)) for part in parts)
