# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image files in and out, and the folders that hold them."""

from __future__ import annotations

import base64
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ubcn_ros.images.decoding import decode, is_of_memory
from ubcn_ros.images.formats import FILE_FORMATS, holds_several, is_deep, orientation
from ubcn_ros.images.malformed import MalformedImage
from ubcn_ros.text_table import counted
from ubcn_ros.whole_files import NO_ROOM, write_whole

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
"""Names of files that are taken for images, in any case."""
KINDS = f'{", ".join(FILE_FORMATS[:-1])} or {FILE_FORMATS[-1]}'
"""The formats that are read, for texts."""


class ImageFileError(ValueError):
    """A file or folder of images cannot be read or written; the text names it and the remedy."""


def is_image_name(path: Path | str) -> bool:
    """Return whether the file's name says PNG, JPEG, BMP, WebP or TIFF."""
    return Path(path).suffix.lower() in SUFFIXES


@dataclass
class FolderListing:
    """
    What a folder holds.

    ``images`` in order; ``others`` and ``hidden``: how many other files, and names that begin with
    a dot; ``folders`` that were not searched; ``unreadable``: a line for each that could not be.
    """

    images: list[Path] = field(default_factory=list)
    others: int = 0
    hidden: int = 0
    folders: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def find_images(folder: Path | str, recursive: bool = False, without: Iterable[Path] = ()
                ) -> FolderListing:
    """
    Find the image files of a folder, numbers in their names counted as numbers.

    Names that begin with a dot are not images: they are what file managers leave behind.

    :param recursive: search its sub-folders too, each once, however many links lead to it: by
        its own name where that is below the folder, else by that of the first link.
    :param without: sub-folders to leave out, like one that is written to.
    :raises ImageFileError: not a folder, or not readable.
    """
    folder, listing = Path(folder), FolderListing()
    if not folder.is_dir():
        raise ImageFileError(f'{folder} is not a folder: give one that holds images')
    seen = {os.path.realpath(path) for path in without} - {os.path.realpath(folder)}
    folders, links = [folder], []
    while folders or links:
        current = folders.pop() if folders else links.pop()
        if (real := os.path.realpath(current)) in seen:
            continue
        seen.add(real)
        if current != folder and not recursive:
            listing.folders.append(current)
            continue
        inside = []
        try:
            for path in current.iterdir():
                if path.name.startswith('.'):
                    listing.hidden += 1
                elif path.is_dir():
                    inside.append(path)
                elif is_image_name(path) and (path.is_file() or not path.exists()):
                    listing.images.append(path)  # a link to nothing, too: reading says so
                else:
                    listing.others += 1
        except OSError as error:
            text = f'{current} cannot be read: {error.strerror or error}'
            if current == folder:
                raise ImageFileError(text) from error
            listing.unreadable.append(text)
        for path in sorted(inside, reverse=True):  # the last is taken first
            (links if path.is_symlink() else folders).append(path)
    listing.images.sort(key=lambda path: [natural_key(part) for part in path.parts])
    return listing


def list_images(folder: Path | str) -> list[Path]:
    """
    List the image files of a folder, numbers in their names counted as numbers.

    :param folder: not searched below its first level; names that begin with a dot are left out.
    :raises ImageFileError: no such folder, or no images in it.
    """
    images = find_images(folder).images
    if not images:
        raise ImageFileError(f'{folder} holds no images: put {KINDS} files directly into it')
    return images


def read_image(path: Path | str, left_out: Counter[str] | None = None) -> np.ndarray:
    """
    Read a PNG, JPEG, BMP, WebP or TIFF, whatever its name; bounded in size before it is decoded.

    :param left_out: counts the files of which something is not read, or not as it may be meant,
        for ``left_out_notes``.
    :return: (H, W, 3) uint8 RGB, H and W at least 32. An orientation is ignored, as in the node,
        so that results fit labels and camera geometry; samples of 16 bits are scaled to 8, alpha
        is dropped; of several pages or frames the first is taken.
    :raises ImageFileError: missing, no image, damaged, of a size out of range, or a TIFF that is
        not plain strips of 8 or 16 bits, upright, or of unassociated alpha.
    """
    try:
        data = Path(path).read_bytes()
        image = decode(data, FILE_FORMATS)
    except OSError as error:
        raise ImageFileError(f'{path} cannot be read: {error.strerror or error}') from error
    except MalformedImage as error:
        raise ImageFileError(f'{path}: {error.text("file")}') from error
    if left_out is not None:
        left_out['several'] += holds_several(data)
        left_out['turned'] += orientation(data) != 1
        # 16: of 12 bits as they are, in 16
        left_out['dark'] += is_deep(data) and 0 < int(image.max()) <= 16
    return image


def left_out_notes(counts: Counter[str]) -> Iterator[str]:
    """Say what ``read_image`` has counted, a sentence or two for each kind."""
    if count := counts['several']:
        yield (f'{counted(count, "image file holds", "image files hold")} several pages or '
               'frames, of which the first is read: split them into a file for each before')
    if count := counts['turned']:
        yield (f'{counted(count, "image notes", "images note")} an orientation (EXIF), which is '
               'not applied: results are turned as the pixels are stored. Where that is not '
               'wanted, turn the pixels before')
    if count := counts['dark']:
        yield (f'{counted(count, "image of 16 bits is", "images of 16 bits are")} nearly black, '
               'as where samples of 10 or 12 bits are stored without scaling: scale them to 16 '
               'bits before')


def write_image(path: Path | str, image: np.ndarray) -> None:
    """
    Write an image, whole or not at all, making the folder where it is missing.

    :param path: its suffix, one of SUFFIXES, says the format.
    :param image: (H, W, 3) uint8 RGB, or (H, W) uint8 for a single channel.
    :raises ImageFileError: the file cannot be written.
    """
    path = Path(path)
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        done, data = cv2.imencode(path.suffix, stored)
    except cv2.error as error:
        if is_of_memory(error):
            raise
        done = False
    if not done or not is_image_name(path):
        raise ImageFileError(f'{path}: {image.shape[1]} x {image.shape[0]} pixels cannot be '
                             f"written as '{path.suffix}': give a name that ends in .png")
    try:
        write_whole(path, data)
    except OSError as error:
        full = error.errno in NO_ROOM
        raise ImageFileError(f'{path} cannot be written: {error.strerror or error}: '
                             f'{"make room, or " if full else ""}choose another place') from error


def data_uri(data: bytes, kind: str) -> str:
    """Return an image for a page to hold; ``kind`` of its bytes, like 'webp'."""
    return f'data:image/{kind};base64,' + base64.b64encode(data).decode('ascii')


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Return the key to sort names by, numbers in them counted as numbers."""
    # by '0' to '9' alone: '²'.isdigit() is true, but it is not a number to int
    return [(part[0] in '0123456789', int(part) if part[0] in '0123456789' else 0, part)
            for part in re.findall(r'[0-9]+|[^0-9]+', name)]
