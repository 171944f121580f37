# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames at another size: pictures are smoothed, labels and depth are not."""

import numpy as np
import pytest

from ubcn_ros.data.resizing import resized
from ubcn_ros.data.scenes import CleanFrame


@pytest.fixture
def frame():
    random = np.random.default_rng(4)
    return CleanFrame(random.integers(0, 256, (40, 60, 3), np.uint8),
                      random.choice(np.uint8([0, 7, 255]), (40, 60)),
                      random.choice(np.float32([0, 12.5]), (40, 60)),
                      random.integers(0, 256, (40, 60, 3), np.uint8))


@pytest.mark.parametrize('size', [(30, 20), (120, 80), (97, 41)])
def test_all_parts_get_the_size_and_values_of_their_kind(frame, size):
    found = resized(frame, *size)
    for part, before in zip(found, frame, strict=True):
        assert part.shape[:2] == size[::-1] and part.dtype == before.dtype
    assert set(np.unique(found.labels)) <= {0, 7, 255}
    assert set(np.unique(found.depth)) <= {0, 12.5}
    assert abs(found.image.mean() - frame.image.mean()) < 2


def test_its_own_size_leaves_a_frame_as_it_is(frame):
    assert resized(frame, 60, 40) is frame


def test_parts_that_are_not_there_stay_away(frame):
    assert resized(CleanFrame(frame.image, frame.labels), 30, 20)[2:] == (None, None)
