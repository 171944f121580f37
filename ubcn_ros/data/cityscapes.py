# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes in its own layout, with the 19 training classes and depth from disparity."""

from __future__ import annotations

import json
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
    read_ids,
)
from ubcn_ros.labels import CITYSCAPES, UNLABELED

# labelIds of the 19 classes in the order of their trainIds: the table of cityscapesScripts
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = np.full(256, UNLABELED, np.uint8)
TRAIN_IDS[list(_LABEL_IDS)] = np.arange(len(_LABEL_IDS))

# the data set's usual calibration, for frames whose camera file is not there
BASELINE_M = 0.22
FOCAL_PX = 2262.0


@dataclass(frozen=True)
class CityscapesScene(Scene):
    """A frame with labels as labelIds or trainIds and, where present, disparity and camera."""

    disparity_path: Path | None = None
    camera_path: Path | None = None

    def labels(self) -> np.ndarray:
        """(H, W) uint8 trainIds, 255 = unlabeled."""
        ids = read_ids(self.label_path)
        return ids if self.label_path.stem.endswith('TrainIds') else TRAIN_IDS[ids]

    def depth(self) -> np.ndarray | None:
        """
        (H, W) float32 metres, 0 where the disparity is unknown; None without a disparity file.

        The file holds 256 times the disparity plus 1, and 0 where it is unknown (README of
        cityscapesScripts).
        """
        if self.disparity_path is None:
            return None
        stored = cv2.imread(str(self.disparity_path), cv2.IMREAD_UNCHANGED)
        if stored is None or stored.ndim != 2 or stored.dtype != np.uint16:
            raise DataSetError(f'{self.disparity_path} is not a single-channel 16-bit PNG of '
                               'disparity: replace it')
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
            return float(camera['extrinsic']['baseline']), float(camera['intrinsic']['fx'])
        except (ValueError, KeyError, TypeError) as error:
            raise DataSetError(f'{self.camera_path} has no extrinsic.baseline and intrinsic.fx '
                               f'({error!r}): replace or remove it') from error


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
    files = {p.name[:-len(ending)]: p for p in sorted(images.glob(f'*/*{ending}'))}
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
            _first(root / 'disparity' / split / city / f'{name}_disparity.png'),
            _first(root / 'camera' / split / city / f'{name}_camera.json')))
    return SceneList(f'cityscapes/{split}', CITYSCAPES,
                     chosen_or_fail(scenes, images, only, exclude, expected))


def _first(*paths: Path) -> Path | None:
    return next((p for p in paths if p.is_file()), None)
