# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes in its own layout, with the 19 training classes and depth from disparity."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubcn_ros.data.files import DataSetError, check_folder, read_png
from ubcn_ros.data.scenes import Scene, SceneList, choose, chosen_or_fail
from ubcn_ros.images.files import is_image_name
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
        (H, W) float32 metres, 0 where the disparity is unknown; None without a disparity file.

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


def cityscapes(root: Path | str, split: str = 'train', only: Iterable[str] = (),
               exclude: Iterable[str] = ()) -> SceneList:
    """
    Scenes of Cityscapes: ROOT/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png and the like.

    Labels are gtFine's labelTrainIds where they are, else its labelIds; disparity and camera are
    used where present.

    :param only: keep the frames whose names start with one of these ('aachen'), all when empty.
    :param exclude: leave out the frames whose names start with one of these.
    :raises DataSetError: the folders are missing or empty, an image has no label, or nothing is
        left.
    """
    root = Path(root)
    images, labels = root / 'leftImg8bit' / split, root / 'gtFine' / split
    expected = f'expected Cityscapes as {root}/leftImg8bit/{split}/CITY/NAME_leftImg8bit.png ' \
               f'with gtFine/{split}/CITY/NAME_gtFine_labelIds.png'
    check_folder(images, expected)
    check_folder(labels, expected)
    ending = '_leftImg8bit.png'
    files = {p.name[:-len(ending)]: p for p in sorted(images.glob(f'*/*{ending}'))
             if is_image_name(p) and not p.name.startswith('.')}
    scenes = []
    for name in choose(files, only, exclude):
        city = files[name].parent.name
        label = _first(labels / city / f'{name}_gtFine_labelTrainIds.png',
                       labels / city / f'{name}_gtFine_labelIds.png')
        if label is None:
            raise DataSetError(f'{labels / city}/{name}_gtFine_labelIds.png is missing: '
                               f'{expected}')
        scenes.append(CityscapesScene(
            name, files[name], label,
            _FROM_TRAIN_IDS if label.stem.endswith('TrainIds') else _FROM_LABEL_IDS,
            _first(root / 'disparity' / split / city / f'{name}_disparity.png'),
            camera_path=_first(root / 'camera' / split / city / f'{name}_camera.json')))
    return SceneList(f'cityscapes/{split}', CITYSCAPES,
                     chosen_or_fail(scenes, images, only, exclude, expected))


def _first(*paths: Path) -> Path | None:
    return next((p for p in paths if p.is_file()), None)
