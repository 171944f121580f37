# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Haze, pepper and gaussian noise follow their formulas; each kind has its levels."""

import numpy as np
import pytest

from ubcn_ros.data.degradations import (
    KINDS,
    Degradation,
    add_gaussian,
    add_haze,
    add_pepper,
)
from ubcn_ros.data.rain import add_rain, estimate_airlight


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def test_haze_is_the_scattering_law(image):
    depth = np.full((60, 80), 100.0, np.float32)
    hazy = add_haze(image, 0.01, depth)
    keep = np.exp(-1.0)
    expected = image * keep + 255 * estimate_airlight(image) * (1 - keep)
    assert np.abs(hazy - expected).max() <= 0.51


def test_haze_thickens_with_distance_and_unknown_depth_is_far(image):
    depth = np.tile(np.linspace(5, 300, 80, dtype=np.float32), (60, 1))
    depth[0, :2] = np.nan, 0
    hazy = add_haze(np.zeros_like(image), 0.01, depth)
    assert (np.diff(hazy[1, :, 0].astype(int)) >= 0).all()
    assert np.array_equal(hazy[0, :2], np.full((2, 3), 0.35 * 255 + 0.5, np.uint8))


def test_haze_without_airlight_has_the_skys(image):
    hazy = add_haze(image, 1.0, np.full((60, 80), 1e3, np.float32))
    assert np.abs(hazy - 255 * estimate_airlight(image)).max() <= 0.51


def test_haze_takes_a_prior_without_depth(image):
    hazy = add_haze(np.zeros_like(image), 0.01, None)
    assert hazy[25, 40, 0] > hazy[-1, 40, 0]


@pytest.mark.parametrize('probability', [0.0, 0.3, 0.5, 0.7, 1.0])
def test_pepper_share(image, probability):
    result = add_pepper(np.maximum(image, 1), probability, 3)
    black = (result == 0).all(-1)
    assert abs(black.mean() - probability) < 0.03
    assert np.array_equal(result[~black], np.maximum(image, 1)[~black])


def test_more_pepper_is_the_same_and_more(image):
    few, many = (add_pepper(np.maximum(image, 1), p, 3).any(-1) for p in (0.3, 0.5))
    assert not (many & ~few).any()


def test_gaussian_noise_is_clipped_not_wrapped():
    for grey in (0, 255):
        result = add_gaussian(np.full((50, 50, 3), grey, np.uint8), 30, 1).astype(int)
        assert np.abs(result - grey).max() < 150
        assert (result == grey).mean() == pytest.approx(0.5, abs=0.03)


def test_gaussian_spread():
    grey = np.full((200, 200, 3), 128, np.uint8)
    result = add_gaussian(grey, 20, 1).astype(float)
    assert abs(result.mean() - 128) < 0.5
    assert abs(result.std() - 20) < 0.5


def test_level_zero_changes_nothing(image):
    for result in (add_haze(image, 0, None), add_pepper(image, 0, 1), add_gaussian(image, 0, 1)):
        assert np.array_equal(result, image)


def test_a_seed_repeats(image):
    for function, level in ((add_pepper, 0.5), (add_gaussian, 30)):
        assert np.array_equal(function(image, level, 4), function(image, level, 4))
        assert not np.array_equal(function(image, level, 4), function(image, level, 5))


@pytest.mark.parametrize('call, word', [
    (lambda i: add_haze(i, 0.1, np.ones((3, 4))), r'\(3, 4\)'),
    (lambda i: add_gaussian(i[..., 0], 1, 0), r'\(60, 80\)'),
])
def test_errors_name_the_value(image, call, word):
    with pytest.raises(ValueError, match=word):
        call(image)


@pytest.mark.parametrize('kind', KINDS)
def test_a_degradation_grows_with_its_level_from_nothing(image, kind):
    depth = np.full((60, 80), 30.0, np.float32)
    levels = {'rain': (50, 150, 250), 'haze': (0.005, 0.01, 0.03)}.get(kind, (30, 50, 70))
    assert np.array_equal(Degradation(kind, 0)(image, 1, depth), image)
    changes = [np.abs(Degradation(kind, level)(image, 1, depth).astype(int) - image).mean()
               for level in levels]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_a_degradation_is_what_its_unit_says(image):
    depth = np.full((60, 80), 30.0, np.float32)
    for degraded, expected in (
            (Degradation('rain', 150), add_rain(image, 150, 7, depth)),
            (Degradation('haze', 0.01), add_haze(image, 0.01, depth)),
            (Degradation('pepper', 30), add_pepper(image, 0.3, 7)),
            (Degradation('gaussian', 30), add_gaussian(image, 30, 7))):
        assert np.array_equal(degraded(image, 7, depth), expected), degraded


@pytest.mark.parametrize(('kind', 'level', 'complaint'), [
    ('snow', 1, "unknown degradation 'snow': choose one of rain, pepper"),
    ('rain', 301, r'rain is 301, must be 0..300 \(mm/hr\)'), ('pepper', -1, 'pepper is -1'),
    ('haze', 30, r'haze is 30, must be 0..1 \(1/m\)'),
    ('gaussian', float('nan'), 'gaussian is nan')])
def test_what_is_no_degradation_is_said(kind, level, complaint):
    with pytest.raises(ValueError, match=complaint):
        Degradation(kind, level)
