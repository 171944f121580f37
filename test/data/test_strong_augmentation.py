# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Strong augmentation keeps size and type, moves labels with their pixels and varies widely."""

import numpy as np
import pytest

from ubcn_ros.data.strong_augmentation import augment_strongly, change_view


@pytest.fixture
def frame():
    """Grey image whose pixels are 20 times their labels, in patches of 8 pixels."""
    labels = np.random.default_rng(0).integers(0, 11, (9, 12)).astype(np.uint8)
    labels = labels.repeat(8, 0).repeat(8, 1)
    return np.repeat(20 * labels[..., None], 3, 2), labels


def test_seed_repeats_and_differs(frame):
    first, again, other = (augment_strongly(*frame, np.random.default_rng(s)) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize('seed', range(24))
def test_labels_go_along(frame, seed):
    image, labels = change_view(*frame, np.random.default_rng(seed))
    assert image.shape == frame[0].shape and labels.shape == frame[1].shape
    assert image.dtype == labels.dtype == np.uint8
    # but for the edges of the patches, where the image is smoothed
    assert np.mean(np.abs(image[..., 0].astype(int) - 20 * labels.astype(int)) <= 2) > 0.5
    assert np.corrcoef(image[..., 0].ravel(), labels.ravel())[0, 1] > 0.75


def test_the_whole_frame_is_turned_and_resized():
    stripes = np.tile((255 * (np.arange(96) // 8 % 2)).astype(np.uint8), (64, 1))
    image = np.repeat(stripes[..., None], 3, 2)
    flips = []
    for seed in range(24):
        view = change_view(image, stripes, np.random.default_rng(seed))[0][..., 0] > 127
        flips.append((np.count_nonzero(view[:, 1:] != view[:, :-1]) / 64,
                      np.count_nonzero(view[1:] != view[:-1]) / 96))
    across, along = np.array(flips).T
    assert (across == 0).any() and (along == 0).any()  # stripes lie, stripes stand
    assert across.max() > 18 and 0 < across[across > 0].min() < 6  # shrunk, enlarged


def test_labels_do_not_depend_on_the_colours(frame):
    for seed in range(4):
        augmented = augment_strongly(*frame, np.random.default_rng(seed))
        viewed = change_view(*frame, np.random.default_rng(seed))
        assert np.array_equal(augmented[1], viewed[1])
        assert not np.array_equal(augmented[0], viewed[0])


def test_colours_and_contrast_vary():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    image[..., 2] //= 4
    views = [augment_strongly(image, image[..., 0], np.random.default_rng(s))[0].astype(float)
             for s in range(40)]
    assert {int(view.mean((0, 1)).argmin()) for view in views} == {0, 1, 2}
    deviations = [view.std() for view in views]
    assert max(deviations) > 2 * min(deviations)
