# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""COCO's polygons and run lengths, as many tools export them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ubcn_ros.data.description import SPLIT_OF, SPLITS, Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.formats.coco_file import CocoFile, Part, read_coco
from ubcn_ros.data.listing import FileFinder
from ubcn_ros.data.scenes import Listing, Scene
from ubcn_ros.labels import UNLABELED, plain_name

_NAMES = re.compile(rf'(?:instances_)?({"|".join(SPLIT_OF)})\d*\.json')
_ROBOFLOW = '_annotations.coco.json'
_WHOLE = ('annotations.json', 'result.json', _ROBOFLOW)


@dataclass(frozen=True)
class CocoScene(Scene):
    """
    A frame whose labels are drawn: larger objects first, so that small ones stay on top.

    ``size`` is height and width, ``objects`` the class and the outlines of each, ``uncovered``
    the class of the pixels of none.
    """

    size: tuple[int, int] = (0, 0)
    objects: tuple[tuple[int, tuple[Part, ...]], ...] = ()
    uncovered: int = UNLABELED

    def labels(self) -> np.ndarray:
        """Return (H, W) uint8 class ids, 255 = unlabeled."""
        from pycocotools import mask  # of the extra train
        drawn = []
        for stored, parts in self.objects:
            runs = mask.merge([mask.frPyObjects(part, *self.size) if isinstance(part, dict) else
                               mask.frPyObjects([part], *self.size)[0] for part in parts])
            drawn.append((int(mask.area(runs)), stored, runs))
        labels = np.full(self.size, self.uncovered, np.uint8)
        for _, stored, runs in sorted(drawn, key=lambda item: -item[0]):
            labels[mask.decode(runs) > 0] = stored
        table = np.full(256, UNLABELED, np.uint8)
        table[list(self.ids)] = list(self.ids.values())
        return cv2.LUT(labels, table)


def _recognises(root: Path) -> bool:
    try:
        return bool(_files(root))
    except DataSetError:
        return True  # two files for one split: opening says so


def _files(root: Path) -> dict[str, Path]:
    """File of each split below a folder."""
    found: dict[str, list[Path]] = {}
    for folder in (root / 'annotations', root):
        for path in sorted(folder.glob('*.json')):
            if match := _NAMES.fullmatch(path.name.lower()):
                found.setdefault(SPLIT_OF[match[1]], []).append(path)
    for name, split in SPLIT_OF.items():
        if (root / name / _ROBOFLOW).is_file():
            found.setdefault(split, []).append(root / name / _ROBOFLOW)
    for name in _WHOLE:
        if not found and (root / name).is_file():
            found['train'] = [root / name]
    for split, files in found.items():
        if len(files) > 1:
            raise DataSetError(f'{files[0]} and {files[1]} are both for the split {split!r}: '
                               f'write a YAML file with path: {root} and {split}: FILE.json')
    return {split: found[split][0] for split in SPLITS if split in found}


def _open(description: Description) -> Opened:
    d = description
    files = _given(d) or _files(d.root)
    if not files:
        raise DataSetError(f'{d.source}: no file of annotations in {d.root}: expected '
                           f'{FORMAT.layout}')
    read = {split: read_coco(file) for split, file in files.items()}
    classes = d.classes or _classes(list(read.values()))
    if not classes:
        raise DataSetError(f'{next(iter(files.values()))} has no categories: export it again')
    known = {plain_name(name) for coco in read.values() for name in coco.categories.values()}
    for name in d.classes:
        if plain_name(name) not in known | {'background'}:
            raise d.wrong('names', name, f'is not a category of {next(iter(files.values()))}: '
                          f'choose from {", ".join(_classes(list(read.values())))}')
    return Opened(d.label_set_of(classes), {split: partial(_list, d.root, split, coco, classes)
                                            for split, coco in read.items()},
                  tuple(files.values()), _left_out(list(read.values()), classes))


def _given(d: Description) -> dict[str, Path]:
    """Files that the YAML names."""
    for split, places in d.places.items():
        if len(places) != 1 or not os.path.isfile(places[0]):
            raise d.wrong(split, [str(place) for place in places], 'is not a file of COCO '
                          f'annotations: give one, relative to {d.root}')
    return {split: places[0] for split, places in d.places.items()}


def _classes(files: Sequence[CocoFile]) -> tuple[str, ...]:
    """Names of the categories, in the order of the first file's ids."""
    used = {name for coco in files for name in coco.used()}
    above = {above for coco in files for above in coco.above}
    names = (coco.categories[i] for coco in files for i in sorted(coco.categories))
    # an export of Roboflow has the name of all objects as a category of none
    return tuple({plain_name(name): name for name in names
                  if name in used or name not in above}.values())


def _left_out(files: Sequence[CocoFile], classes: Sequence[str]) -> dict[str, int]:
    """Count the annotations of categories that are none of the classes."""
    taken = {plain_name(name) for name in classes}
    return Counter(name for coco in files for image in coco.images for category, _ in image.objects
                   if plain_name(name := coco.categories[category]) not in taken)


def _list(root: Path, split: str, coco: CocoFile, classes: tuple[str, ...]) -> Listing:
    by_name = {plain_name(name): i for i, name in enumerate(classes)}
    class_ids = {i: by_name.get(plain_name(name), UNLABELED)
                 for i, name in coco.categories.items()}
    ids = {i: i for i in (*range(len(classes)), UNLABELED)}
    uncovered = by_name.get('background', UNLABELED)
    folders = _image_folders(root, split, coco.path)
    problems = list(dict.fromkeys(line for category, line in coco.problems
                                  if class_ids.get(category) != UNLABELED))
    scenes, names, files = [], set(), FileFinder()
    for image in coco.images:
        found = files.existing(*(folder / image.file_name for folder in folders))
        name = os.path.splitext(image.file_name.replace('\\', '/'))[0]
        if found is None:
            problems.append(f'{image.file_name}, which {coco.path} names, is not in '
                            f'{", ".join(map(str, folders))}')
        elif name in names:
            problems.append(f'{coco.path} has two images of the name {name}: rename one')
        else:
            names.add(name)
            objects = tuple((class_ids[category], parts) for category, parts in image.objects)
            scenes.append(CocoScene(name, found, coco.path, ids, size=image.size,
                                    objects=objects, uncovered=uncovered))
    return Listing(tuple(scenes), tuple(problems))


def _image_folders(root: Path, split: str, file: Path) -> list[Path]:
    """Folders that may hold the images of a file: beside it, or below the root."""
    stem = file.stem.removeprefix('instances_')
    names = dict.fromkeys((stem, split))
    folders = [file.parent, *(root / 'images' / name for name in names),
               *(root / name for name in names), root / 'images', root]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


FORMAT = Format('coco', 'COCO: annotations/instances_{train,val}*.json with images/NAME.jpg or '
                'train2017/NAME.jpg and the like, or {train,valid}/_annotations.coco.json beside '
                'its images', frozenset({'train', 'val', 'test', 'names'}), _recognises, _open)
