# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC2012's segmentation part in its own layout."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePath

from ubcn_ros.data.description import SPLITS, Description
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import FileFinder, not_readable, text_lines, with_masks
from ubcn_ros.data.scenes import Listing
from ubcn_ros.images.files import SUFFIXES
from ubcn_ros.labels import LabelSet, paths_of

VOC2012 = LabelSet(
    'voc2012',
    ('background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
     'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant',
     'sheep', 'sofa', 'train', 'tvmonitor'),
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128),
     (0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0),
     (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0),
     (0, 192, 0), (128, 192, 0), (0, 64, 128)),
    # background and foreground
    paths_of(21, (0,)))

LICENSE = 'PASCAL VOC2012: the images under the terms of use of Flickr'
"""What its page states."""


def voc_base(root: Path) -> Path:
    """Return the folder of the data set: this one, or the one that its VOCdevkit holds."""
    nested = root / 'VOCdevkit' / 'VOC2012'
    return nested if nested.is_dir() else root


def _recognises(root: Path) -> bool:
    base = voc_base(root)
    return (base / 'SegmentationClass').is_dir() and (base / 'ImageSets/Segmentation').is_dir()


def _open(description: Description) -> Opened:
    base = voc_base(description.root)
    ids = description.with_names(dict(enumerate(VOC2012.classes))).ids()
    lists = {split: file for split in SPLITS
             if (file := base / 'ImageSets' / 'Segmentation' / f'{split}.txt').is_file()}
    return Opened(description.label_set(VOC2012), {
        split: partial(_list, base, file, ids) for split, file in lists.items()},
        tuple(lists.values()))


def _list(base: Path, file: Path, ids: Mapping[int, int]) -> Listing:
    images, problems = listed_images(base / 'JPEGImages', file)
    return with_masks(images, problems, lambda image: (
        base / 'SegmentationClass' / image.relative_to(base / 'JPEGImages').with_suffix('.png')),
        ids)


def listed_images(folder: Path, file: Path) -> tuple[dict[str, Path], list[str]]:
    """
    Return images that a file names, a line each, without folder and suffix.

    :return: by name; and a line for each that is missing, elsewhere, or named twice.
    :raises DataSetError: the file cannot be read.
    """
    images: dict[str, Path] = {}
    problems = []
    files = FileFinder()
    for line in text_lines(file, 'names of images without suffix, one a line'):
        name = os.path.relpath(line, folder) if os.path.isabs(line) else line
        path = files.existing(*(folder / f'{name}{suffix}' for suffix in SUFFIXES))
        if '..' in PurePath(name.replace('\\', '/')).parts:
            problems.append(f'{file} names {line}, which is not below {folder}: give its name '
                            'from there on, without suffix')
        elif name in images:
            problems.append(f'{file} names {name} twice: leave one out')
        elif path is None:
            problems.append(not_readable(folder) or f'{folder}/{name}.jpg (or .png) is missing, '
                            f'but {file} names it')
        else:
            images[name] = path
    return images, problems


FORMAT = Format('voc2012', 'PASCAL VOC2012: JPEGImages/NAME.jpg with SegmentationClass/NAME.png '
                'and the names in ImageSets/Segmentation/{train,val}.txt',
                frozenset({'names', 'label_mapping', 'ignore'}), _recognises, _open, VOC2012,
                LICENSE, voc_base, re.compile(r'20[0-9]{2}_[0-9]{6}'),
                'path, format: voc2012 and names')
