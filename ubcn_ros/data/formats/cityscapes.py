# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes in its own layout, with the 19 training classes and depth from disparity."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

import numpy as np

from ubcn_ros.data.description import SPLITS, Description
from ubcn_ros.data.files import DataSetError, read_png
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import FileFinder, NoMask, images_below
from ubcn_ros.data.scenes import Listing, Scene
from ubcn_ros.labels import UNLABELED, LabelSet, paths_of

CITYSCAPES = LabelSet(
    'cityscapes',
    ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
     'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
     'motorcycle', 'bicycle'),
    ((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
     (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
     (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
     (0, 80, 100), (0, 0, 230), (119, 11, 32)),
    # the nine classes with most pixels: road, building, vegetation, car, sidewalk, sky,
    # pole, person, terrain
    paths_of(19, (0, 2, 8, 13, 1, 10, 5, 11, 9)))

LICENSE = 'Cityscapes: for non-commercial purposes such as research and teaching only'
"""What its terms of use state."""

# labelIds of the 19 classes in the order of their trainIds: the table of cityscapesScripts
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# all others, 0..33, are unlabeled; so is -1, the licence plate's, which is stored as 255
_FROM_LABEL_IDS = {**dict.fromkeys((*range(34), UNLABELED), UNLABELED),
                   **{stored: i for i, stored in enumerate(_LABEL_IDS)}}
_FROM_TRAIN_IDS = {i: i for i in (*range(len(_LABEL_IDS)), UNLABELED)}

# the data set's usual calibration, for frames whose camera file is not there
BASELINE_M = 0.22
FOCAL_PX = 2262.0


@dataclass(frozen=True)
class CityscapesScene(Scene):
    """A frame whose depth, where present, is a disparity, with or without a camera file."""

    camera_path: Path | None = None

    def depth(self) -> np.ndarray | None:
        """
        Return (H, W) float32 metres, 0 where the disparity is unknown; None without its file.

        The file holds 256 times the disparity plus 1, and 0 where it is unknown (README of
        cityscapesScripts).
        """
        if self.depth_path is None:
            return None
        stored = read_png(self.depth_path, 16, 'disparity')
        baseline, focal = self._calibration()
        disparity = (stored.astype(np.float32) - 1) / 256
        depth = np.zeros(stored.shape, np.float32)
        np.divide(np.float32(baseline * focal), disparity, out=depth, where=stored > 1)
        return depth

    def _calibration(self) -> tuple[float, float]:
        """Baseline in metres and focal length in pixels."""
        if self.camera_path is None:
            return BASELINE_M, FOCAL_PX
        try:
            camera = json.loads(self.camera_path.read_text())
            values = float(camera['extrinsic']['baseline']), float(camera['intrinsic']['fx'])
            if not all(math.isfinite(value) and value > 0 for value in values):
                raise ValueError(f'{values[0]:g} m and {values[1]:g} pixels')
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataSetError(f'{self.camera_path} has no extrinsic.baseline and intrinsic.fx '
                               f'above 0 ({error!r}): replace or remove it') from error
        return values


def _recognises(root: Path) -> bool:
    return (root / 'leftImg8bit').is_dir()


def _open(description: Description) -> Opened:
    root = description.root
    return Opened(description.label_set(CITYSCAPES), {
        split: partial(_list, root, split) for split in SPLITS
        if (root / 'leftImg8bit' / split).is_dir()})


def _list(root: Path, split: str) -> Listing:
    """Scenes with labelTrainIds where they are, else labelIds; depth and camera where present."""
    images, problems = images_below(root / 'leftImg8bit' / split, '_leftImg8bit.png')
    count = Counter(PurePath(inner).name for inner in images)
    scenes, files = [], FileFinder()
    for inner, path in images.items():
        city, name = os.path.split(inner)
        labels = root / 'gtFine' / split / city
        label = files.existing(labels / f'{name}_gtFine_labelTrainIds.png',
                               labels / f'{name}_gtFine_labelIds.png')
        if label is None:
            problems.append(NoMask(f'{path} has no labels: expected '
                                   f'{labels}/{name}_gtFine_labelIds.png'))
            continue
        scenes.append(CityscapesScene(
            name if count[name] == 1 else inner, path, label,
            _FROM_TRAIN_IDS if label.stem.endswith('TrainIds') else _FROM_LABEL_IDS,
            files.existing(root / 'disparity' / split / city / f'{name}_disparity.png'),
            camera_path=files.existing(
                root / 'camera' / split / city / f'{name}_camera.json')))
    return Listing(tuple(scenes), tuple(problems))


FORMAT = Format('cityscapes', 'Cityscapes: leftImg8bit/{train,val}/CITY/NAME_leftImg8bit.png with '
                'gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png', frozenset(), _recognises,
                _open, CITYSCAPES, LICENSE,
                file_names=re.compile(r'(.*/)?[a-z-]+_[0-9]{6}_[0-9]{6}'),
                own_keys='path, train: leftImg8bit/train, val: leftImg8bit/val, masks_dir: '
                'gtFine, image_suffix: _leftImg8bit.png, mask_suffix: _gtFine_labelIds.png and '
                'names')
