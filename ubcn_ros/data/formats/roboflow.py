# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Roboflow's "Semantic Segmentation Masks": each mask beside its image, classes in a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from ubcn_ros.data.description import SPLIT_OF, Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import MASK_SUFFIX, images_below, text_lines, with_masks
from ubcn_ros.data.scenes import Listing
from ubcn_ros.data.yaml_values import FORMS

_CLASSES = '_classes.csv'


def _found(root: Path) -> Iterator[tuple[str, Path]]:
    """Splits with their folders; without any, all of it is the split train."""
    folders = [(split, root / name) for name, split in SPLIT_OF.items()]
    return ((split, folder) for split, folder in (*folders, ('train', root))
            if (folder / _CLASSES).is_file())


def _recognises(root: Path) -> bool:
    return any(_found(root))


def _open(description: Description) -> Opened:
    folders: dict[str, Path] = {}
    for split, folder in _found(description.root):
        if split in folders:
            raise DataSetError(f'{folders[split]} and {folder} are both for the split {split!r}: '
                               'rename or remove one')
        folders[split] = folder
    if not folders:
        raise DataSetError(f'{description.source}: no {_CLASSES} in {description.root}: expected '
                           f'{FORMAT.layout}')
    tables = {folder: _classes(folder / _CLASSES) for folder in folders.values()}
    first, names = next(iter(tables.items()))
    for folder, others in tables.items():
        if others != names:
            raise DataSetError(f'{first / _CLASSES} and {folder / _CLASSES} name other classes: '
                               'export both at once, or make them the same')
    d = description.with_names(names)
    return Opened(d.label_set(), {split: partial(_list, folder, d.ids())
                                  for split, folder in folders.items()},
                  tuple(folder / _CLASSES for folder in tables))


def _classes(file: Path) -> dict[int, str]:
    """Name of every number in the masks."""
    lines = text_lines(file, 'a table of Pixel Value, Class')[1:]
    try:
        rows = [_class(row) for row in csv.reader(lines, skipinitialspace=True)]
        names = dict(rows)
        if len(names) < len(rows):
            raise ValueError('a number is there twice')
        return FORMS['names'](names)
    except (ValueError, csv.Error) as error:
        raise DataSetError(f'{file} is not a table of Pixel Value, Class ({error}): export it '
                           'again, or correct it') from error


def _class(row: list[str]) -> tuple[int, str]:
    """Number and name of a line; ValueError if wrong."""
    try:
        number, name = row
        return int(number), name
    except ValueError as error:
        raise ValueError(f'{", ".join(row)[:80]!r} is not a number and a name; put a name with a '
                         'comma in quotes') from error


def _list(folder: Path, ids: Mapping[int, int]) -> Listing:
    images, problems = images_below(folder, recursive=False)
    masks = {name: path for name, path in images.items()
             if path.name.lower().endswith(MASK_SUFFIX)}
    for name, path in masks.items():
        image = name[:-len(Path(MASK_SUFFIX).stem)]
        if image not in images:
            problems.append(f'{path} is without its image: expected {folder}/{image}.jpg')
    return with_masks({name: path for name, path in images.items() if name not in masks},
                      problems, lambda image: image.with_name(image.stem + MASK_SUFFIX), ids)


FORMAT = Format('roboflow', 'Roboflow: {train,valid}/NAME.jpg with {train,valid}/NAME_mask.png '
                'and the classes in {train,valid}/_classes.csv',
                frozenset({'names', 'label_mapping', 'ignore'}), _recognises, _open)
