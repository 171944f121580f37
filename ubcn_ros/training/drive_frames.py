# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of procedural drives as scenes to train on, and which scene comes when."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import cv2
import numpy as np

from ubcn_ros.data.drive.drive import LABEL_SET, Drive
from ubcn_ros.data.scenes import CleanFrame
from ubcn_ros.labels import UNLABELED, LabelSet, plain_name

FRAMES_PER_DRIVE = 16
"""Building a street costs about as much as rendering ten of its frames."""

_LARGEST_SIDE = 720  # short side, pixels: larger frames show nothing more, and take long
_SPACING_S = 1.7


class DriveFrames:
    """
    Endless frames of procedural drives; neighbouring numbers share a street, some seconds apart.

    :param seed: of the streets.
    :param size: height and width, pixels.
    :param label_set: the labels become its classes of the same names; None: all are unlabeled.
    """

    def __init__(self, seed: int, size: tuple[int, int], label_set: LabelSet | None) -> None:
        self.seed, self.size = seed, size
        self._ids = _ids_by_name(LABEL_SET, label_set)
        self._drives: OrderedDict[int, Drive] = OrderedDict()

    def __getitem__(self, number: int) -> CleanFrame:
        """Return the frame of this number, 0 or more."""
        street, place = divmod(number, FRAMES_PER_DRIVE)
        if street not in self._drives:
            rng = np.random.default_rng([self.seed, 4, street])
            self._drives[street] = Drive(int(rng.integers(1 << 31)), *self.size)
            while len(self._drives) > 2:
                self._drives.popitem(last=False)
        jitter = np.random.default_rng([self.seed, 5, number]).random()
        shown = self._drives[street].frame(_SPACING_S * (place + float(jitter)))
        return shown._replace(labels=cv2.LUT(shown.labels, self._ids))


def drive_size(scene: Sequence[int]) -> tuple[int, int]:
    """
    Return the size of drives' frames among scenes of a size: the same, but for the largest.

    :param scene: height and width, pixels.
    """
    shrinks = min(1.0, _LARGEST_SIDE / min(scene))
    height, width = (round(int(side) * shrinks) for side in scene)
    return height, width


def chosen_scene(frame: int, scenes: int, drive_share: float, seed: int) -> tuple[bool, int]:
    """
    Choose the scene of a frame: every scene comes once an epoch, drives in between.

    :param frame: its number, 0 or more.
    :param scenes: how many there are.
    :param drive_share: share of frames that are of drives, 0..1, spread evenly.
    :param seed: of the order of the scenes.
    :return: whether it is of a drive, and the number of the drive's frame or of the scene.
    """
    # spread evenly over the frames, so that counting drives needs no history
    drives = math.floor(frame * drive_share)
    if math.floor((frame + 1) * drive_share) > drives:
        return True, drives
    epoch, place = divmod(frame - drives, scenes)
    order = np.random.default_rng([seed, 2, epoch]).permutation(scenes)
    return False, int(order[place])


def _ids_by_name(source: LabelSet, target: LabelSet | None) -> np.ndarray:
    """Ids of the target's classes of the same names, (256,) uint8; others are unlabeled."""
    table = np.full(256, UNLABELED, np.uint8)
    names = [] if target is None else [plain_name(name) for name in target.classes]
    for i, name in enumerate(source.classes):
        if plain_name(name) in names:
            table[i] = names.index(plain_name(name))
    return table
