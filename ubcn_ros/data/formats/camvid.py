# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CamVid with the 11 classes of its SegNet distribution."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ubcn_ros.data.description import SPLITS, Description
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import images_below, with_masks
from ubcn_ros.data.scenes import Listing
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


def _recognises(root: Path) -> bool:
    return any((root / split / 'images').is_dir() and any(
        path.suffix.lower() == '.png' for path in (root / split / 'labels').glob('*'))
        for split in SPLITS)


def _open(description: Description) -> Opened:
    return Opened(description.label_set(CAMVID), {
        split: partial(_list, description.root / split) for split in SPLITS
        if (description.root / split / 'images').is_dir()})


def _list(base: Path) -> Listing:
    return with_masks(*images_below(base / 'images', recursive=False),
                      lambda image: base / 'labels' / f'{image.stem}.png', _IDS)


FORMAT = Format('camvid', 'CamVid: {train,val,test}/images/NAME.jpg (or .png) with '
                '{train,val,test}/labels/NAME.png', frozenset(), _recognises, _open, CAMVID,
                LICENSE, file_names=re.compile(r'([0-9]{4}|Seq[0-9]{2})[A-Z][A-Z0-9]_'),
                own_keys='path, train, val, masks_dir: labels and names')
