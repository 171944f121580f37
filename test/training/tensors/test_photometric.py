# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Photometric distortion: what each of its parts does to an image and to its rainy twin."""

import numpy as np
import pytest
import torch

from ubcn_ros.training.tensors.photometric import PhotometricDistortion


@pytest.fixture
def images(street):
    """The street, and the same under a grey veil, (2, 3, 96, 128) on 0..255."""
    dry = torch.from_numpy(street[0]).permute(2, 0, 1).float()
    return torch.stack((dry, 0.6 * dry + 60))


def test_without_a_part_nothing_changes(images):
    torch.testing.assert_close(PhotometricDistortion()(images), images)


def test_colours_follow_the_dry_image_alone(images):
    grey = PhotometricDistortion(saturation=0.0)(images)
    torch.testing.assert_close(grey, images.mean(1, keepdim=True).expand_as(images))
    tinted = PhotometricDistortion(gain=np.array([0.5, 1.0, 0.9]))(images)
    torch.testing.assert_close(tinted, images * torch.tensor([0.5, 1.0, 0.9]).view(3, 1, 1))
    middle = images[0].mean()
    flat = PhotometricDistortion(contrast=0.5, brightness=0.8)(images)
    torch.testing.assert_close(flat, 0.5 * (images - middle) + 0.8 * middle)


def test_light_changes_smoothly(images):
    light = np.full((2, 2), np.log(0.5), np.float32)
    torch.testing.assert_close(PhotometricDistortion(light=light)(images), images / 2)
    light[1] = 0
    ratio = (PhotometricDistortion(light=light)(images) / images).mean((0, 1, 3))
    assert ratio[0] < 0.6 < 0.9 < ratio[-1] and (ratio.diff() > -0.01).all()


def test_texture_keeps_mean_and_contrast(images):
    kernel = np.random.default_rng(3).normal(0, 1, (3, 3, 3, 3)).astype(np.float32)
    found = PhotometricDistortion(kernel=kernel, texture=1.0)._convolved(images)
    for name in ('mean', 'std'):
        torch.testing.assert_close(getattr(found[0], name)((1, 2)),
                                   getattr(images[0], name)((1, 2)), atol=0.1, rtol=1e-3)
    assert (found[0] - images[0]).abs().mean() > 5


def test_blur_and_noise(images):
    blurred = PhotometricDistortion(blur=1.0)(images)
    assert blurred.diff(dim=3).abs().amax() < 0.7 * images.diff(dim=3).abs().amax()
    assert (blurred.mean() - images.mean()).abs() < 0.5
    even = torch.full((2, 3, 64, 64), 100.0)
    noisy = PhotometricDistortion(noise=5.0, seed=7)(even) - even
    assert noisy[0].std() == pytest.approx(5, rel=0.05)
    torch.testing.assert_close(noisy[0], noisy[1])


def test_drawn_ones_differ_and_stay_images(images):
    rng = np.random.default_rng(0)
    found = [PhotometricDistortion.draw(rng)(images) for _ in range(40)]
    assert all(f.isfinite().all() and f.min() >= 0 and f.max() <= 255 for f in found)
    assert len({float(f.sum()) for f in found}) > 35


def test_of_samples_labels_and_everything_else_stay(samples):
    config = {'rain_probability': 0.5, 'color_jitter': 0.5}
    plain, other = (samples(**config, photometric_probability=p).batch(range(8)) for p in (0, 1))
    for key in ('labels', 'rain_rate', 'extinction'):
        torch.testing.assert_close(plain[key], other[key], equal_nan=True)
    changed = [bool((a != b).any()) for a, b in zip(plain['clean'], other['clean'], strict=True)]
    assert sum(changed) >= 6
    dry = plain['rain_rate'] == 0
    assert torch.equal(other['clean'][dry], other['degraded'][dry])
    torch.testing.assert_close(
        samples(**config, photometric_probability=1).batch([5])['degraded'][0],
        other['degraded'][5])
