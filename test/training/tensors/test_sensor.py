# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Noise is of the variance that is said, compression is that of JPEG."""

import cv2
import numpy as np
import pytest
import torch

from ubcn_ros.training.tensors.sensor import (
    SensorParameters,
    add_sensor_noise,
    compressed,
    quantization,
)


@pytest.mark.parametrize('quality', [25, 50, 75, 95])
@pytest.mark.parametrize('size', [(96, 128), (41, 67)])
def test_compression_is_that_of_jpeg(street, quality, size):
    image = cv2.resize(street[0], size[::-1])
    found = compressed(torch.from_numpy(image).permute(2, 0, 1)[None].float(), [quality])
    # of colours in another order, as OpenCV has them
    coded = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
    difference = np.abs(found[0].permute(1, 2, 0).numpy() - expected)
    lost = np.abs(expected.astype(float) - image).mean()
    assert difference.mean() < 0.15 * lost + 0.7


def test_each_image_has_its_own_quality(street):
    image = torch.from_numpy(street[0]).permute(2, 0, 1)[None].float()
    both = compressed(image.repeat(2, 1, 1, 1), [90, 30])
    for place, quality in enumerate((90, 30)):
        torch.testing.assert_close(both[place], compressed(image, [quality])[0], atol=1, rtol=0)


def test_the_tables_are_those_of_libjpeg():
    fifty = quantization(50)
    assert fifty[0, 0, 0] == 16 and fifty[1, 7, 7] == 99 and quantization(25)[0, 0, 0] == 32
    assert (quantization(100) == 1).all() and quantization(1).max() == 255


def test_noise_is_each_images_own_and_grows_with_light():
    images = torch.tensor([20.0, 200.0]).view(2, 1, 1, 1).repeat(1, 3, 40, 60)
    sensors = [SensorParameters(0.3, 2.0, 0)] * 2
    noisy = add_sensor_noise(images.clone(), sensors, [1, 2])
    for place, level in enumerate((20, 200)):
        assert float(noisy[place].std()) == pytest.approx((0.3 * level + 4) ** 0.5, rel=0.05)
    assert torch.equal(noisy[1:], add_sensor_noise(images[1:].clone(), sensors[1:], [2]))
    silent = [SensorParameters(0, 0, 50)] * 2
    assert torch.equal(add_sensor_noise(images.clone(), silent, [1, 2]), images)


def test_draws_are_with_and_without():
    sensors = [SensorParameters.draw(np.random.default_rng(seed)) for seed in range(60)]
    for name in ('shot', 'quality'):
        assert {bool(getattr(sensor, name)) for sensor in sensors} == {True, False}
    assert all(sensor.quality == 0 or 25 <= sensor.quality <= 95 for sensor in sensors)
