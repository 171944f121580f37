# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CamVid with the 11 classes of its SegNet distribution."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ubcn_ros.data.files import DataSetError, check_folder, images_by_name
from ubcn_ros.data.scenes import Scene, SceneList, choose, chosen_or_fail
from ubcn_ros.labels import UNLABELED, LabelSet, paths_of

CAMVID = LabelSet(
    'camvid',
    ('Sky', 'Building', 'Pole', 'Road', 'Sidewalk', 'Tree', 'SignSymbol', 'Fence', 'Car',
     'Pedestrian', 'Bicyclist'),
    ((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
     (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
    # the six classes with 4 % of the training pixels or more
    paths_of(11, (0, 1, 3, 4, 5, 8)))

LICENSE = 'CamVid: for personal and research use only (CC BY-NC 4.0 at its source)'
"""What the SegNet distribution states; a model that learnt from the data inherits it."""

# the void of the SegNet distribution is 11, which no class has
_IDS = {**{i: i for i in range(CAMVID.num_classes)}, 11: UNLABELED, UNLABELED: UNLABELED}


def camvid(root: Path | str, split: str = 'train', only: Iterable[str] = (),
           exclude: Iterable[str] = ()) -> SceneList:
    """
    Scenes of CamVid in the layout ROOT/{train,val,test}/{images,labels}/NAME.{jpg,png}.

    :param only: keep the drives whose names start with one of these ('0006R0'), all when empty.
    :param exclude: leave out the drives whose names start with one of these.
    :raises DataSetError: the folders are missing or empty, an image has no label, or nothing is
        left.
    """
    base = Path(root) / split
    images, labels = base / 'images', base / 'labels'
    expected = f'expected CamVid as {Path(root)}/{split}/images/NAME.jpg (or .png) with ' \
               f'{split}/labels/NAME.png'
    files = images_by_name(images, expected)
    check_folder(labels, expected)
    scenes = []
    for name in choose(files, only, exclude):
        label = labels / f'{name}.png'
        if not label.is_file():
            raise DataSetError(f'{label} is missing: {expected}')
        scenes.append(Scene(name, files[name], label, _IDS))
    return SceneList(f'camvid/{split}', CAMVID,
                     chosen_or_fail(scenes, images, only, exclude, expected))
