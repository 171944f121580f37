# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Misty rain repeats from its seed, is of many looks, and goes with the frame's size."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from random_images import psnr

from ubcn_ros.data.depth_prior import depth_prior
from ubcn_ros.data.misty_rain import Mist, add_misty_rain, mist_thickness, misty

EVEN = np.ones((4, 5))
CLEAR = Mist(airlight=np.array([0.8, 0.85, 0.9]), slope=0.0, at_100_m=0.0, power=1.0, film=0.0,
             bank=0.0, bank_m=20.0, uneven=EVEN, scatter=0.0, shower=EVEN,
             streak_light=np.array([0.9, 0.9, 0.9]), streaks_first=False)


@pytest.fixture(scope='module')
def image():
    """Bright sky above, dark textured ground below."""
    result = np.random.default_rng(0).integers(30, 90, (96, 128, 3), np.uint8)
    result[:40] = 225
    return result


def test_seed_repeats_and_differs(image):
    first, again, other = (add_misty_rain(image, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == image.shape and first.dtype == np.uint8


def test_the_input_is_not_written(image):
    copy = image.copy()
    for seed in range(4):
        add_misty_rain(image, np.random.default_rng(seed))
    assert np.array_equal(image, copy)


def test_looks_span_light_to_very_heavy(image):
    figures = [psnr(add_misty_rain(image, np.random.default_rng(s)), image) for s in range(40)]
    assert min(figures) < 13 and max(figures) > 24


def test_it_looks_alike_at_every_size(image):
    small, large = ([psnr(add_misty_rain(scene, np.random.default_rng(seed)), scene)
                     for seed in range(30)]
                    for scene in (image, cv2.resize(image, (256, 192))))
    assert np.mean(large) == pytest.approx(np.mean(small), abs=1)


def test_mist_of_the_first_power_is_beer_and_lamberts_law(image):
    scene = image.astype(np.float32)
    found = misty(scene, np.full((96, 128), 50.0), np.zeros((96, 128), np.float32),
                  replace(CLEAR, at_100_m=0.6))
    keep = np.exp(-0.3)
    np.testing.assert_allclose(found, scene * keep + 255 * CLEAR.airlight * (1 - keep), atol=1e-2)


def test_other_powers_are_of_the_distance_in_100_m():
    for power in (0.5, 1.0, 2.0):
        found = mist_thickness(np.array([100.0, 25.0]), 0.8, power, 0.0, 0.0, 20.0)
        np.testing.assert_allclose(found, [0.8, 0.8 * 0.25 ** power])


def test_the_light_is_brighter_at_the_top_by_its_slope(image):
    mist = replace(CLEAR, film=30.0, slope=0.1)
    found = misty(image.astype(np.float32), depth_prior(96, 128), np.zeros((96, 128), np.float32),
                  mist)
    for row, factor in ((0, 1.05), (47, 1.0), (95, 0.95)):
        np.testing.assert_allclose(found[row, 7], 255 * factor * CLEAR.airlight, rtol=2e-3)


def test_mist_and_streaks_are_each_uneven_by_themselves(image):
    scene, streaks = image.astype(np.float32), np.full((96, 128), 0.2, np.float32)
    mist = replace(CLEAR, film=0.4, uneven=3 * EVEN, shower=2 * EVEN, streaks_first=False)
    behind = scene * np.exp(-1.2) + 255 * CLEAR.airlight * (1 - np.exp(-1.2))
    expected = behind * np.exp(-0.4) + 255 * CLEAR.streak_light * (1 - np.exp(-0.4))
    np.testing.assert_allclose(misty(scene, depth_prior(96, 128), streaks, mist), expected,
                               atol=0.02)


def test_clear_air_scatters_nothing(image):
    scene, nothing = image.astype(np.float32), np.zeros((96, 128), np.float32)
    found = misty(scene, depth_prior(96, 128), nothing, replace(CLEAR, scatter=1.0))
    np.testing.assert_allclose(found, scene, atol=1e-3)


def test_a_bank_lies_between_near_and_far():
    near, far, beyond = mist_thickness(np.array([5.0, 40.0, 200.0]), 0.0, 1.0, 0.1, 0.8, 20.0)
    assert near < 0.11 and far > 0.8 and beyond == pytest.approx(0.9, abs=1e-3)


def test_without_mist_and_streaks_nothing_changes(image):
    scene = image.astype(np.float32)
    nothing = np.zeros((96, 128), np.float32)
    assert np.array_equal(misty(scene, depth_prior(96, 128), nothing, CLEAR), scene)


@pytest.mark.parametrize('first', [True, False])
def test_streaks_are_of_their_light_and_may_lie_behind_mist(image, first):
    thick = np.full((96, 128), 30.0, np.float32)
    mist = replace(CLEAR, film=0.5, streaks_first=first)
    found = misty(image.astype(np.float32), depth_prior(96, 128), thick, mist)
    keep = np.exp(-0.5) if first else 1
    expected = 255 * (mist.streak_light * keep + CLEAR.airlight * (1 - keep))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=0.1)


def test_scattering_takes_detail_away(image):
    scene, nothing = image.astype(np.float32), np.zeros((96, 128), np.float32)
    detail = [misty(scene, depth_prior(96, 128), nothing, replace(CLEAR, film=0.5, scatter=s))
              [60:].std() for s in (0.0, 1.0)]
    assert detail[1] < 0.8 * detail[0]


def test_mist_is_hardly_darker_than_the_sky():
    for seed in range(30):
        mist = Mist.draw(np.random.default_rng(seed), np.array([0.9, 0.9, 0.9]))
        assert mist.airlight.max() > 0.84 and mist.airlight.min() > 0.55
        assert (0 <= mist.streak_light).all() and (mist.streak_light <= 1).all()


def test_mist_at_dusk_is_no_daylight():
    levels = [Mist.draw(np.random.default_rng(seed), np.full(3, 0.35)).airlight.mean()
              for seed in range(30)]
    assert 0.28 < min(levels) and max(levels) < 0.7 and max(levels) > 0.45


def test_unknown_distances_are_far(image):
    depth = np.full((96, 128), 10.0, np.float32)
    depth[50:, :2] = np.nan, 0
    found = misty(image.astype(np.float32), depth, np.zeros((96, 128), np.float32),
                  replace(CLEAR, at_100_m=1.0))
    assert np.abs(found[50:, :2] - 255 * CLEAR.airlight).max() < 1


def test_errors(image):
    with pytest.raises(ValueError, match='uint8'):
        add_misty_rain(image.astype(float), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r'\(2, 2\)'):
        add_misty_rain(image, np.random.default_rng(0), np.ones((2, 2)))
