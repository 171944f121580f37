# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC2012's segmentation part in its own layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ubcn_ros.data.files import DataSetError, check_folder
from ubcn_ros.data.scenes import Scene, SceneList, choose, chosen_or_fail
from ubcn_ros.labels import UNLABELED, LabelSet, paths_of

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

_IDS = {i: i for i in (*range(VOC2012.num_classes), UNLABELED)}


def voc2012(root: Path | str, split: str = 'train', only: Iterable[str] = (),
            exclude: Iterable[str] = ()) -> SceneList:
    """
    Scenes that ROOT/ImageSets/Segmentation/SPLIT.txt names.

    Labels are the indices of a palette PNG, whatever its colours, or plain ids.

    ROOT is VOC2012 itself, with JPEGImages and SegmentationClass, or the folder of its
    VOCdevkit.

    :param only: keep the frames whose names start with one of these ('2007'), all when empty.
    :param exclude: leave out the frames whose names start with one of these.
    :raises DataSetError: the list or a folder is missing, a listed frame has no image or label,
        or nothing is left.
    """
    root = Path(root)
    nested = root / 'VOCdevkit' / 'VOC2012'
    base = nested if nested.is_dir() else root
    listing = base / 'ImageSets' / 'Segmentation' / f'{split}.txt'
    expected = f'expected VOC2012 as {base}/JPEGImages/NAME.jpg with SegmentationClass/NAME.png ' \
               f'and the names in ImageSets/Segmentation/{split}.txt'
    check_folder(base / 'JPEGImages', expected)
    check_folder(base / 'SegmentationClass', expected)
    if not listing.is_file():
        raise DataSetError(f'{listing} is missing: {expected}')
    try:
        names = listing.read_text('utf-8').split()
    except (OSError, ValueError) as error:
        raise DataSetError(f'{listing} cannot be read as text ({error}): {expected}') from error
    scenes = []
    for name in choose(names, only, exclude):
        image = base / 'JPEGImages' / f'{name}.jpg'
        label = base / 'SegmentationClass' / f'{name}.png'
        for path in (image, label):
            if not path.is_file():
                raise DataSetError(f'{path} is missing but {listing.name} names it: {expected}')
        scenes.append(Scene(name, image, label, _IDS))
    return SceneList(f'voc2012/{split}', VOC2012,
                     chosen_or_fail(scenes, listing, only, exclude, expected))
