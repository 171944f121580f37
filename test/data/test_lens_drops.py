# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drops on the lens are soft discs that show the scene upside down or blurred."""

import numpy as np
import pytest

from ubcn_ros.data.lens_drops import drops_on_lens, seen_through


def test_seed_repeats_and_differs():
    first, again, other = (drops_on_lens(48, 64, np.random.default_rng(seed), 48)
                           for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again)) and not np.array_equal(first[0], other[0])
    alpha, shift, shade = first
    assert alpha.shape == shade.shape == (48, 64) and shift.shape == (48, 64, 2)
    assert 0 <= alpha.min() and alpha.max() <= 1 and (shade > 0.5).all()
    assert all(part.dtype == np.float32 for part in first)


def test_drops_go_with_the_frame():
    small, large = (np.mean([(drops_on_lens(side, side, np.random.default_rng(s), side)[0] > 0.3)
                             .mean() for s in range(60)]) for side in (64, 128))
    assert 0.02 < small < 0.4 and large == pytest.approx(small, rel=0.3)


def test_without_drops_the_image_stays():
    image = np.random.default_rng(0).random((48, 64, 3), np.float32) * 255
    nothing = np.zeros((48, 64), np.float32)
    assert np.array_equal(seen_through(image, nothing, np.zeros((48, 64, 2), np.float32),
                                       nothing + 1), image)


def test_a_refracting_drop_shows_the_scene_upside_down():
    image = np.zeros((64, 64, 3), np.float32)
    image[:32] = 200
    v = np.arange(64, dtype=np.float32)[:, None] + 0.5 - 32
    shift = np.stack([np.zeros((64, 64), np.float32), np.repeat(-3 * v, 64, 1)], -1)
    full = np.ones((64, 64), np.float32)
    seen = seen_through(image, full, shift, full)
    assert seen[24].mean() < 20 and seen[40].mean() > 180
    assert seen_through(image, full, shift, 0.5 * full)[40].mean() < 110


def test_what_a_drop_shows_lies_to_the_right_and_down():
    y, x = np.mgrid[:64, :96].astype(np.float32)
    image, full = np.dstack([2 * x, 2 * y, x + y]), np.ones((64, 96), np.float32)
    for right, down in ((12, 0), (0, 12), (8, -8)):
        shift = np.stack([right * full, down * full], -1)
        seen = (seen_through(image, full, shift, full) - image)[24:40, 32:64]
        np.testing.assert_allclose(seen.mean((0, 1)), [2 * right, 2 * down, right + down],
                                   atol=0.5)


def test_a_film_of_water_blurs_alone():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (64, 96, 3)).astype(np.float32)
    full = np.ones((64, 96), np.float32)
    seen = seen_through(image, full, np.zeros((64, 96, 2), np.float32), full)
    assert seen.std() < 0.3 * image.std() and seen.mean() == pytest.approx(image.mean(), abs=3)
