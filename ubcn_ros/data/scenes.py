# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labelled driving scenes on disk: image and label files in the data sets' own layouts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ubcn_ros.labels import CAMVID, UNLABELED, LabelSet


class DataSetError(ValueError):
    """A data set is not where or what it should be; the text says what was expected."""


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB; DataSetError if the file cannot be decoded."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataSetError(f'{path} cannot be decoded as an image: replace it')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_ids(path: Path) -> np.ndarray:
    """(H, W) uint8 ids of a single-channel PNG; DataSetError if it is something else."""
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if ids is None or ids.ndim != 2 or ids.dtype != np.uint8:
        raise DataSetError(f'{path} is not a single-channel 8-bit PNG of class ids: replace it')
    return ids


@dataclass(frozen=True)
class Scene:
    """
    One frame on disk.

    All arrays of a scene have one height and width. Data sets whose files need more than being
    read derive their own.
    """

    name: str
    image_path: Path
    label_path: Path | None

    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, clean; DataSetError if the file cannot be decoded."""
        return read_image(self.image_path)

    def labels(self) -> np.ndarray:
        """(H, W) uint8 class ids, 255 = unlabeled; DataSetError if it cannot be decoded."""
        if self.label_path is None:
            return np.full(self.image().shape[:2], UNLABELED, np.uint8)
        return read_ids(self.label_path)

    def depth(self) -> np.ndarray | None:
        """(H, W) float32 metres, 0 where unknown, or None where the data set has no depth."""
        return None

    def rainy(self) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB, the same frame in real rain, or None: rain must be rendered."""
        return None


@dataclass(frozen=True)
class SceneList:
    """Scenes of one split and the label set of their ids, None without labels."""

    name: str
    label_set: LabelSet | None
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)


def choose(names: Iterable[str], only: Iterable[str] = (), exclude: Iterable[str] = ()
           ) -> list[str]:
    """Names that start with one of ``only`` (all when empty) and with none of ``exclude``."""
    only, exclude = tuple(only), tuple(exclude)
    return [name for name in names
            if (not only or name.startswith(only)) and not (exclude and name.startswith(exclude))]


def chosen_or_fail(scenes: list[Scene], where: Path, only: Iterable[str], exclude: Iterable[str],
                   expected: str) -> tuple[Scene, ...]:
    """Return the scenes; DataSetError saying what was looked for when there is none."""
    if not scenes:
        raise DataSetError(f'no scenes in {where} (only={list(only)}, exclude={list(exclude)}): '
                           f'{expected}')
    return tuple(scenes)


def check_folder(folder: Path, expected: str) -> None:
    """Raise DataSetError unless this is a folder."""
    if not folder.is_dir():
        raise DataSetError(f'{folder} is not a folder: {expected}')


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
    check_folder(images, expected)
    check_folder(labels, expected)
    files = {p.stem: p for p in sorted(images.iterdir()) if p.suffix.lower() in ('.jpg', '.png')}
    scenes = []
    for name in choose(files, only, exclude):
        label = labels / f'{name}.png'
        if not label.is_file():
            raise DataSetError(f'{label} is missing: {expected}')
        scenes.append(Scene(name, files[name], label))
    return SceneList(f'camvid/{split}', CAMVID,
                     chosen_or_fail(scenes, images, only, exclude, expected))
