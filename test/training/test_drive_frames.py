# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every scene comes once an epoch, drives in between, and all follows from the number."""

import numpy as np
import pytest

from ubcn_ros.data.drive.drive import LABEL_SET
from ubcn_ros.training.drive_frames import DriveFrames, chosen_scene


@pytest.mark.parametrize('share', [0.0, 0.1, 1 / 3, 1.0])
def test_drives_have_their_share_and_scenes_their_epochs(share):
    chosen = [chosen_scene(n, 7, share, seed=2) for n in range(300)]
    drives = [number for of_drive, number in chosen if of_drive]
    scenes = [number for of_drive, number in chosen if not of_drive]
    assert abs(len(drives) - 300 * share) <= 1 and drives == [*range(len(drives))]
    for first in range(0, len(scenes) - 6, 7):
        assert sorted(scenes[first:first + 7]) == [*range(7)]
    assert share == 1 or scenes != [chosen_scene(n, 7, 0, seed=3)[1] for n in range(len(scenes))]


def test_frames_follow_from_their_number():
    first, again = (DriveFrames(4, (32, 40), LABEL_SET) for _ in range(2))
    expected = {n: first[n] for n in (0, 1, 17)}
    for n in (17, 1, 0):
        assert all(np.array_equal(*pair) for pair in zip(again[n][:3], expected[n][:3],
                                                         strict=True))
    assert not np.array_equal(expected[0].image, expected[1].image)


def test_without_labels_all_is_unlabeled():
    assert (DriveFrames(4, (32, 40), None)[0].labels == 255).all()
