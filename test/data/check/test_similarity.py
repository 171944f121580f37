# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What looks alike, and what does not."""

import cv2
import numpy as np
import pytest
from random_images import clouds

from ubcn_ros.data.check.similarity import (
    BITS,
    NEAR,
    difference_hash,
    most_similar,
    recording_of,
    split_recordings,
    unpack,
)


def difference(one, other):
    bits = unpack([difference_hash(one), difference_hash(other)])
    return int((bits[0] != bits[1]).sum())


IMAGE = clouds(5, 120, 160)
CHANGES = {
    'half the size': lambda image: cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA),
    'JPEG': lambda image: cv2.imdecode(cv2.imencode(
        '.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR),
    'brighter': lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=20),
    'two pixels on': lambda image: np.roll(image, 2, 1),
}


@pytest.mark.parametrize('change', CHANGES)
def test_copies_look_alike(change):
    assert difference(IMAGE, CHANGES[change](IMAGE)) <= NEAR


@pytest.mark.parametrize('other', [clouds(6, 120, 160), IMAGE[:, ::-1].copy(), 255 - IMAGE],
                         ids=['another', 'mirrored', 'negative'])
def test_others_do_not(other):
    assert difference(IMAGE, other) > 2 * NEAR


def test_most_similar_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    bits = rng.choice([-1, 1], (5000, BITS)).astype(np.float32)
    others = rng.choice([-1, 1], (30, BITS)).astype(np.float32)
    indices, differences = most_similar(bits, others)
    for i in (0, 511, 512, 4999):
        each = (bits[i] != others).sum(1)
        assert differences[i] == each.min() and each[indices[i]] == each.min()
    indices, differences = most_similar(others, others)
    assert (indices != np.arange(30)).all() and (differences > 0).all()


def test_a_name_is_split_at_its_last_number():
    assert recording_of('0016E5_07959') == (('0016E5_', ''), 7959)
    assert recording_of('12') == (('', ''), 12)
    assert recording_of('a7_left') == (('a', '_left'), 7)
    assert recording_of('street') is None


def pan(count):
    wide = clouds(9, 60, 80 + 10 * count)
    return [difference_hash(wide[:, 10 * i:10 * i + 80]) for i in range(count)]


def test_frames_between_those_of_train_are_found():
    hashes = pan(20)
    train = [i for i in range(20) if i not in (8, 9)]
    names = [f'd_{i}' for i in train], ['d_8', 'd_9']
    (found,) = split_recordings(*names, unpack([hashes[i] for i in [*train, 8, 9]]))
    assert found == ([0, 1], train.index(7), train.index(10))
    # the end of a drive lies between nothing
    tail = [f'd_{i}' for i in range(16)], [f'd_{i}' for i in range(16, 20)]
    assert not list(split_recordings(*tail, unpack(hashes)))
    # a number in both: two folders that each count from 0
    both = [f'd_{i}' for i in range(15)], [f'd_{i}' for i in range(3, 8)]
    assert not list(split_recordings(*both, unpack(hashes)))
