# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC2012's segmentation part in its own layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ubcn_ros.data.scenes import (
    DataSetError,
    Scene,
    SceneList,
    check_folder,
    choose,
    chosen_or_fail,
)
from ubcn_ros.labels import UNLABELED, VOC2012


@dataclass(frozen=True)
class VocScene(Scene):
    """A frame whose labels are a palette PNG in VOC's colours, or a PNG of plain ids."""

    def labels(self) -> np.ndarray:
        """(H, W) uint8 class ids, 255 = unlabeled, VOC's cream-coloured borders included."""
        stored = cv2.imread(str(self.label_path), cv2.IMREAD_UNCHANGED)
        if stored is None or stored.dtype != np.uint8 or stored.ndim not in (2, 3):
            raise DataSetError(f'{self.label_path} is not an 8-bit palette PNG: replace it')
        if stored.ndim == 2:
            return stored
        # OpenCV decodes a palette to colours; VOC's palette gives every id one of its own
        blue, green, red = (stored[..., i].astype(np.int32) for i in range(3))
        keys = (red << 16) + (green << 8) + blue
        labels = np.full(keys.shape, UNLABELED, np.uint8)
        for i, (r, g, b) in enumerate(VOC2012.colors):
            labels[keys == (r << 16) + (g << 8) + b] = i
        return labels


def voc2012(root: Path | str, split: str = 'train', only: Iterable[str] = (),
            exclude: Iterable[str] = ()) -> SceneList:
    """
    Scenes that ROOT/ImageSets/Segmentation/SPLIT.txt names.

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
    scenes = []
    for name in choose(listing.read_text().split(), only, exclude):
        image = base / 'JPEGImages' / f'{name}.jpg'
        label = base / 'SegmentationClass' / f'{name}.png'
        for path in (image, label):
            if not path.is_file():
                raise DataSetError(f'{path} is missing but {listing.name} names it: {expected}')
        scenes.append(VocScene(name, image, label))
    return SceneList(f'voc2012/{split}', VOC2012,
                     chosen_or_fail(scenes, listing, only, exclude, expected))
