# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest

from ubcn_ros.data.pairs import pairs
from ubcn_ros.data.scenes import DataSetError


@pytest.fixture
def root(tmp_path):
    for kind, value in (('input', 200), ('target', 50)):
        (tmp_path / kind).mkdir()
        for name in ('b', 'a'):
            image = np.zeros((32, 40, 3), np.uint8)
            image[..., 2] = value  # red, in OpenCV's order
            cv2.imwrite(str(tmp_path / kind / f'{name}.png'), image)
    return tmp_path


def test_pairs_in_order_and_rgb(root):
    found = pairs(root)
    assert [pair.name for pair in found] == ['a', 'b']
    degraded, clean = found[0].images()
    assert degraded.shape == clean.shape == (32, 40, 3)
    assert tuple(degraded[0, 0]) == (200, 0, 0)
    assert tuple(clean[0, 0]) == (50, 0, 0)


def test_suffixes_may_differ(root):
    (root / 'input' / 'a.png').unlink()
    cv2.imwrite(str(root / 'input' / 'a.jpg'), np.zeros((32, 40, 3), np.uint8))
    assert len(pairs(root)) == 2


@pytest.mark.parametrize('missing', ['input', 'target'])
def test_a_missing_folder_says_what_was_expected(root, missing):
    (root / missing).rename(root / 'elsewhere')
    with pytest.raises(DataSetError, match=f'{missing} is not a folder: expected pairs as'):
        pairs(root)


def test_an_image_without_its_other_half_is_named(root):
    (root / 'target' / 'a.png').unlink()
    with pytest.raises(DataSetError, match=r'other half \(a\)'):
        pairs(root)


def test_empty_folders(tmp_path):
    for kind in ('input', 'target'):
        (tmp_path / kind).mkdir()
    with pytest.raises(DataSetError, match='no images'):
        pairs(tmp_path)


def test_damaged_and_unequal_images(root):
    (root / 'input' / 'a.png').write_bytes(b'no image')
    cv2.imwrite(str(root / 'input' / 'b.png'), np.zeros((32, 32, 3), np.uint8))
    first, second = pairs(root)
    with pytest.raises(DataSetError, match=r'a\.png'):
        first.images()
    with pytest.raises(DataSetError, match='32x32.*40x32'):
        second.images()
