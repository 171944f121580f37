# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PNG and JPEG files in, PNG files out."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from ubcn_ros.images.messages import MalformedImage, compressed_to_rgb

SUFFIXES = ('.png', '.jpg', '.jpeg')
"""Names of files that are taken for images, in any case."""


class ImageFileError(ValueError):
    """A file or folder of images cannot be read or written; the text names it and the remedy."""


def is_image_name(path: Path | str) -> bool:
    """Whether the file's name says PNG or JPEG."""
    return Path(path).suffix.lower() in SUFFIXES


def list_images(folder: Path | str) -> list[Path]:
    """
    List the PNG and JPEG files of a folder, numbers in their names counted as numbers.

    :param folder: not searched below its first level.
    :raises ImageFileError: no such folder, or no images in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageFileError(f'{folder} is no folder: give one that holds PNG or JPEG files')
    paths = [path for path in folder.iterdir() if path.is_file() and is_image_name(path)]
    if not paths:
        raise ImageFileError(f'{folder} holds no PNG or JPEG files; they are expected directly '
                             'in it')
    return sorted(paths, key=lambda path: _natural(path.name))


def read_image(path: Path | str) -> np.ndarray:
    """
    Read a PNG or JPEG, whatever its name; bounded in size before it is decoded.

    :return: (H, W, 3) uint8 RGB, H and W at least 32. EXIF orientation is ignored, as in the
        node, so that results fit labels and camera geometry.
    :raises ImageFileError: missing, no image, damaged, or of a size out of range.
    """
    try:
        return compressed_to_rgb(SimpleNamespace(data=Path(path).read_bytes()))
    except OSError as error:
        raise ImageFileError(f'{path}: {error.strerror or error}') from error
    except MalformedImage as error:
        raise ImageFileError(f'{path}: {error}') from error


def write_image(path: Path | str, image: np.ndarray) -> None:
    """
    Write an image in the format that the name says, making the folder where it is missing.

    :param image: (H, W, 3) uint8 RGB, or (H, W) uint8 for a single channel.
    :raises ImageFileError: the file cannot be written.
    """
    path = Path(path)
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        _, data = cv2.imencode(path.suffix, stored)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except (cv2.error, OSError) as error:
        raise ImageFileError(f'{path} cannot be written: {error}') from error


def _natural(name: str) -> list[tuple[bool, int, str]]:
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.findall(r'[0-9]+|[^0-9]+', name)]
