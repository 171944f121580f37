# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CVAT's export "Segmentation Mask 1.1": VOC's folders, with masks read by their colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from ubcn_ros.data.description import SPLIT_OF, SPLITS, Description
from ubcn_ros.data.files import DataSetError, read_color_labels
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.formats.voc2012 import listed_images
from ubcn_ros.data.listing import text_lines, with_masks
from ubcn_ros.data.scenes import Listing, Scene
from ubcn_ros.data.yaml_values import Color
from ubcn_ros.labels import UNLABELED, plain_name

_BLACK = (0, 0, 0)
# of VOC, which writers of its masks use
_VOID = (224, 224, 192)
_BOTH = 'trainval'  # VOC's: what train and val list


@dataclass(frozen=True)
class ColoredScene(Scene):
    """A frame whose mask shows the classes in colours; ``ids`` is by their place in ``colors``."""

    colors: tuple[Color, ...] = ()

    def labels(self) -> np.ndarray:
        """Return (H, W) uint8 class ids; DataSetError where a colour is of no class."""
        return read_color_labels(self.label_path, self.colors, self.ids)


def _recognises(root: Path) -> bool:
    return (root / 'labelmap.txt').is_file() and (root / 'SegmentationClass').is_dir()


def _open(description: Description) -> Opened:
    d = description
    labels = _label_map(d.root / 'labelmap.txt')
    classes = d.classes or tuple(labels)
    by_name = {'background': _BLACK, **{plain_name(name): color
                                        for name, color in labels.items()}}
    for name in classes:
        if plain_name(name) not in by_name:
            raise d.wrong('names', name, f'is not in labelmap.txt: choose from '
                          f'{", ".join(labels)}')
    label_set = d.label_set_of(classes, [by_name[plain_name(name)] for name in classes])
    ids = {plain_name(name): i for i, name in enumerate(classes)}
    colors = tuple(dict.fromkeys((*labels.values(), _BLACK, _VOID)))
    class_ids = {plain_name(name): ids.get(plain_name(name), UNLABELED) for name in labels}
    meaning = dict.fromkeys(range(len(colors)), UNLABELED)
    # what nobody painted is black, whatever the colour of a class called background
    meaning[colors.index(_BLACK)] = ids.get('background', UNLABELED)
    meaning |= {colors.index(color): class_ids[plain_name(name)]
                for name, color in labels.items()}
    lists = _lists(d.root)
    return Opened(label_set, {split: partial(_list, d.root, files, meaning, colors)
                              for split, files in lists.items()},
                  (d.root / 'labelmap.txt', *chain.from_iterable(lists.values())))


def _lists(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in sorted((root / 'ImageSets' / 'Segmentation').glob('*.txt')):
        if file.stem.lower() in SPLIT_OF:
            found.setdefault(SPLIT_OF[file.stem.lower()], []).append(file)
        elif not file.name.startswith('.') and file.stem.lower() != _BOTH:
            raise DataSetError(f'{file} is of no split: add its lines to train.txt, val.txt or '
                               'test.txt, and remove it')
    if not found:
        raise DataSetError(f'{root}/ImageSets/Segmentation holds no list of images: expected '
                           'default.txt or train.txt, as CVAT exports them')
    return {split: found[split] for split in SPLITS if split in found}


def _list(root: Path, files: list[Path], meaning: Mapping[int, int], colors: tuple[Color, ...]
          ) -> Listing:
    folder = root / 'JPEGImages'
    if not folder.is_dir():
        return Listing((), (f'{folder} is not a folder: export from CVAT with "Save images"',))
    images: dict[str, Path] = {}
    problems: list[str] = []
    for file in files:
        found, wrong = listed_images(folder, file)
        images |= found
        problems += wrong
    return with_masks(images, problems, lambda image: (
        root / 'SegmentationClass' / image.relative_to(folder).with_suffix('.png')), meaning,
        scene=partial(ColoredScene, colors=colors))


def _label_map(file: Path) -> dict[str, Color]:
    """
    Colours of the classes by name, in order.

    :raises DataSetError: a line is not 'name:red,green,blue:parts:actions', or comes twice.
    """
    labels: dict[str, Color] = {}
    for line in text_lines(file, 'name:red,green,blue:: in each line'):
        if line.startswith('#'):
            continue
        match = re.fullmatch(r'(.*?\S)\s*:\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*'
                             r'(:[^:]*){0,2}', line, re.ASCII)
        if not match or not all(int(match[i]) <= 255 for i in (2, 3, 4)):
            raise DataSetError(f'{file}: {line[:80]!r} is not a class: expected '
                               'name:red,green,blue::, as CVAT exports it')
        color = (int(match[2]), int(match[3]), int(match[4]))
        if match[1] in labels or color in labels.values():
            raise DataSetError(f'{file}: {line[:80]!r} has the name or the colour of another '
                               'class: give each its own, and export again')
        labels[match[1]] = color
    if not labels:
        raise DataSetError(f'{file} holds no class: expected name:red,green,blue:: in each line')
    return labels


FORMAT = Format('cvat', 'CVAT\'s "Segmentation Mask 1.1": labelmap.txt, JPEGImages/NAME.jpg with '
                'SegmentationClass/NAME.png and the names in ImageSets/Segmentation/*.txt',
                frozenset({'names'}), _recognises, _open)
