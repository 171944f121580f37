# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import base64

import cv2
import numpy as np
import pytest

from ubcn_ros.report.pictures import Album


def decoded(uri):
    kind, data = uri.split(',')
    assert kind == 'data:image/webp;base64'
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8),
                        cv2.IMREAD_COLOR)[..., ::-1]


def noise(seed, *shape):
    """What compresses worst."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize('budget', [30_000, 60_000, 400_000])
def test_pictures_stay_within_their_budget(budget):
    album, total = Album(30, 15, budget), 0
    for seed in range(15):
        image = noise(seed, 72, 128, 3)
        total += len(album.image(image)) + len(album.image(image))
        total += len(album.mask(noise(seed, 9, 16).repeat(8, 0).repeat(8, 1)))
    assert 0.3 * budget < total <= budget


def speckled(seed, share):
    """Ids of large blobs, a share of the pixels being any other."""
    mask = noise(seed, 5, 8).repeat(36, 0).repeat(40, 1) % 11
    return np.where(noise(seed + 99, *mask.shape) < 255 * share, noise(seed, *mask.shape) % 11,
                    mask).astype(np.uint8)


@pytest.mark.parametrize('share, width', [(0, 320), (0.1, 140), (0.3, 90)])
def test_masks_with_speckle_leave_room_for_the_last_pictures(share, width):
    """The smallest of them decides: they shrank to 52 pixels, as masks ate their room."""
    count, widths, total = 40, [], 0
    album = Album(count, count, 12_000 * count)
    image = cv2.resize(noise(0, 12, 20, 3), (320, 180), interpolation=cv2.INTER_CUBIC)
    for seed in range(count):
        for uri in (album.image(image), album.mask(speckled(seed, share))):
            widths.append(decoded(uri).shape[1])
            total += len(uri)
    assert min(widths) >= width and total <= 12_000 * count


def test_one_odd_mask_makes_no_small_pictures():
    album = Album(100, 100, 1_200_000)
    image = cv2.resize(noise(0, 12, 20, 3), (320, 180), interpolation=cv2.INTER_CUBIC)
    album.mask(noise(0, 180, 320))
    assert decoded(album.image(image)).shape[1] > 250


def test_few_pictures_are_kept_as_large_as_they_are():
    image = cv2.resize(noise(0, 6, 8, 3), (128, 72), interpolation=cv2.INTER_LINEAR)
    shown = decoded(Album(2, 1).image(image))
    assert shown.shape == image.shape and np.abs(shown.astype(int) - image).mean() < 4


def test_large_pictures_become_smaller_in_proportion():
    assert decoded(Album(1, 0).image(np.zeros((1080, 1920, 3), np.uint8))).shape == (720, 1280, 3)


@pytest.mark.parametrize('shape', [(8, 40_000), (40_000, 8)])
def test_sides_are_no_longer_than_webp_has_them(shape):
    album, image = Album(1, 1), np.zeros((*shape, 3), np.uint8)
    for uri in (album.image(image), album.mask(image[..., 0])):
        assert max(decoded(uri).shape) == 16383


def test_masks_lose_nothing():
    mask = noise(3, 40, 60)
    assert np.array_equal(decoded(Album(0, 1).mask(mask)), np.repeat(mask[..., None], 3, 2))
    small = decoded(Album(50, 50, 40_000).mask(np.repeat(noise(4, 1, 256) // 2 * 2, 144, 0)))
    assert small.shape[0] < 144 and not (small % 2).any()  # none between two ids
