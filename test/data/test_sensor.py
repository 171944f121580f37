# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Noise is of the variance that is said, compression of the quality."""

import numpy as np
import pytest

from ubcn_ros.data.sensor import SensorLook, add_sensor_noise, compressed


@pytest.mark.parametrize('level', [10, 200])
def test_noise_grows_with_light(level):
    grey = np.full((80, 100, 3), level, np.float32)
    noisy = add_sensor_noise(grey, SensorLook(0.3, 2.0, 0), np.random.default_rng(0))
    assert noisy.std() == pytest.approx((0.3 * level + 4) ** 0.5, rel=0.03)
    assert noisy.dtype == np.float32


def test_without_noise_and_compression_nothing_changes():
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    assert add_sensor_noise(image, SensorLook(0, 0, 0), None) is image
    assert compressed(image, 0) is image


def test_a_lower_quality_loses_more():
    image = np.random.default_rng(0).integers(0, 255, (5, 6, 3), np.uint8).repeat(8, 0)
    image = image.repeat(8, 1)[:33, :47]
    errors = [np.abs(compressed(image, quality).astype(int) - image).mean()
              for quality in (95, 60, 20)]
    assert errors[0] < errors[1] < errors[2]
    assert compressed(image, 95).shape == image.shape


def test_compression_keeps_the_order_of_colours():
    image = np.full((32, 32, 3), (200, 90, 30), np.uint8)
    assert np.abs(compressed(image, 90).astype(int) - image).max() < 6


def test_draws_are_with_and_without():
    looks = [SensorLook.draw(np.random.default_rng(seed)) for seed in range(60)]
    assert {bool(look.shot) for look in looks} == {bool(look.quality) for look in looks} == {
        True, False}
    assert all(look.quality == 0 or 25 <= look.quality <= 95 for look in looks)
