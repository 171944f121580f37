# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An example of somebody's own data: drives in eight classes of their own, with a YAML."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.data.drive.drive import LABEL_SET, Drive
from ubcn_ros.images.files import write_image
from ubcn_ros.labels import UNLABELED
from ubcn_ros.stopping import signals_held
from ubcn_ros.whole_files import write_whole

CLASSES = {
    'sky': ('Sky',),
    'building': ('Building',),
    'nature': ('Tree',),
    'road': ('Road',),
    'sidewalk': ('Sidewalk',),
    'vehicle': ('Car',),
    'person': ('Pedestrian', 'Bicyclist'),
    'street furniture': ('Pole', 'SignSymbol', 'Fence'),
}
"""Names of the example's classes, in the order of their ids, and the drive's classes in each."""

FRAMES_OF_A_DRIVE = 4
"""Frames that are taken of one drive: many short drives show more streets than a long one."""

_SECONDS_APART = 2.5  # 20 m of the street


def make_example(folder: Path, frames: int, val: int, height: int, width: int, seed: int = 0
                 ) -> Iterator[Path]:
    """
    Write a small data set in the layout images/{train,val}, masks/{train,val}, data.yaml.

    Masks are single-channel PNGs of class ids, 255 where a pixel has no class; training and
    validation show different streets. The same arguments give the same files.

    :param folder: to write to, missing or empty.
    :param frames: for training.
    :param val: for validation.
    :param seed: of the first drive; each further one has the next seed.
    :return: yields the path of each image once it and its mask are written; where it ends before
        the last, by an error or as it is closed, what was written is removed.
    :raises ValueError: the folder holds something, or a size is below 32.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f'{folder} is not empty, and nothing is overwritten: give another folder')
    return _write_or_remove(folder, {'train': frames, 'val': val}, height, width, seed)


def _write_or_remove(folder: Path, *arguments: Any) -> Iterator[Path]:
    there = folder.exists()
    try:
        yield from _write(folder, *arguments)
    except BaseException:
        with signals_held(), suppress(OSError):
            for made in folder.iterdir() if there else [folder]:
                shutil.rmtree(made, ignore_errors=True)
            (folder / 'data.yaml').unlink()
        raise


def _write(folder: Path, counts: dict[str, int], height: int, width: int, seed: int
           ) -> Iterator[Path]:
    ids = _ids()
    for split, count in counts.items():
        for number in range(count):
            place = number % FRAMES_OF_A_DRIVE
            if place == 0:
                drive = Drive(seed, height, width)
                seed += 1
            frame = drive.frame(place * _SECONDS_APART)
            name = f'{split}{number // FRAMES_OF_A_DRIVE:03d}_{place}'
            path = folder / 'images' / split / f'{name}.jpg'
            write_image(path, frame.image)
            write_image(folder / 'masks' / split / f'{name}.png', ids[frame.labels])
            yield path
    write_whole(folder / 'data.yaml', _yaml().encode())


def _ids() -> np.ndarray:
    """Class id of the example of every id of a drive, (256,) uint8."""
    ids = np.full(256, UNLABELED, np.uint8)
    for number, parts in enumerate(CLASSES.values()):
        ids[[LABEL_SET.classes.index(part) for part in parts]] = number
    return ids


def _yaml() -> str:
    names = '\n'.join(f'  {number}: {name}' for number, name in enumerate(CLASSES))
    return ('# Procedural drives, written by `ubcn data example` as an example of own data.\n'
            '# Masks lie in masks/, beside images/, under the same names.\n'
            f'path: .\ntrain: images/train\nval: images/val\nnames:\n{names}\n'
            'license: Apache-2.0\n')
