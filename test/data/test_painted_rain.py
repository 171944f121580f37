# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Painted rain brightens, varies and spans light to very heavy."""

import numpy as np
import pytest
from random_images import psnr

from ubcn_ros.data.painted_rain import paint_rain, painted_layers, random_severity


def painted(image, seed, severity=0.3, haze_probability=0.4, noise_probability=0.0):
    return paint_rain(image, np.random.default_rng(seed), severity, haze_probability,
                      noise_probability)


@pytest.fixture
def image():
    ramp = np.linspace(20, 160, 128, dtype=np.uint8)
    return np.repeat(np.tile(ramp, (96, 1))[..., None], 3, axis=2)


def test_seed_repeats_and_differs(image):
    first, again, other = (painted(image, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == image.shape and first.dtype == np.uint8


def test_severity_spans_light_to_very_heavy(image):
    light, heavy = (np.mean([psnr(painted(image, s, severity), image) for s in range(12)])
                    for severity in (0.0, 1.0))
    assert light > 24 and heavy < 13


def test_streaks_brighten_dark_ground():
    dark = np.zeros((96, 128, 3), np.uint8)
    assert painted(dark, 0, 0.7).mean() > 5


def test_there_is_haze_only_where_it_is_asked_for(image):
    def changed(haze_probability):
        return np.mean([(painted(image, s, 0.3, haze_probability) != image).any(2).mean()
                        for s in range(8)])
    # streaks leave most of the image as it is, haze nothing
    assert changed(0) < 0.8 < changed(1)


@pytest.mark.parametrize('noise_probability', [0, 1])
@pytest.mark.parametrize('seed', range(6))
def test_streaks_alone_darken_nothing(image, seed, noise_probability):
    assert (painted(image, seed, 0.6, 0, noise_probability) >= image).all()


def test_noise_brightens_nearly_all_of_an_image(image):
    def changed(noise_probability):
        return np.mean([(painted(image, s, 0.5, 0, noise_probability) != image).any(2).mean()
                        for s in range(12)])
    assert changed(1) > 0.85 > 0.75 > changed(0)


def test_streaks_are_about_vertical_more_often_than_not():
    def roughness(axis):
        return np.mean([np.abs(np.diff(layer, axis=axis)).mean() for seed in range(20)
                        for layer in painted_layers(64, 64, np.random.default_rng(seed), 0.5, 0)])
    assert roughness(1) > 1.5 * roughness(0)


def test_severities_are_drawn_from_their_range():
    rng = np.random.default_rng(0)
    drawn = [random_severity(rng, 0.3, 0.8) for _ in range(200)]
    assert 0.3 <= min(drawn) < 0.35 and 0.7 < max(drawn) <= 0.8


def test_errors(image):
    with pytest.raises(ValueError, match='1.5'):
        painted(image, 0, 1.5)
    with pytest.raises(ValueError, match='uint8'):
        painted(image.astype(float), 0)


@pytest.mark.parametrize('noise', [0, 1])
def test_layers_cover_more_of_heavier_rain(noise):
    light, heavy = ([sum(painted_layers(48, 64, np.random.default_rng(s), severity, noise))
                     for s in range(8)] for severity in (0.1, 1.0))
    # a convolution by Fourier transform rounds
    assert all(layer.shape == (48, 64) and layer.min() > -1e-5 for layer in light + heavy)
    assert np.mean(heavy) > 3 * np.mean(light)
