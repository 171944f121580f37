# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Streaks have the length, direction and density that is asked for, at every size."""

import numpy as np
import pytest

from ubcn_ros.training.tensors.soft_streaks import StreakParameters, soft_streaks

STREAKS = StreakParameters(length=0.2, width=0.01, softness=0.3, cover=0.05, gain=0.8)


def alike(layer, down, right):
    return np.corrcoef(layer.ravel(), np.roll(layer, (down, right), (0, 1)).ravel())[0, 1]


def test_seed_repeats_and_differs():
    first, again, other = (soft_streaks(48, 64, STREAKS, np.random.default_rng(seed), 48)
                           for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (48, 64) and first.dtype == np.float32 and first.min() >= 0


@pytest.mark.parametrize('angle', [0, 45])
def test_streaks_lie_along_their_angle(angle):
    layer = soft_streaks(128, 128, STREAKS, np.random.default_rng(0), 128, angle)
    along, across = ((8, 0), (0, 8)) if angle == 0 else ((6, 6), (6, -6))
    assert alike(layer, *along) > 0.5 > 0.3 > alike(layer, *across)


@pytest.mark.parametrize('cover', [0.05, 0.2])
def test_streaks_cover_the_share_that_is_asked_for(cover):
    streaks = StreakParameters(length=0.2, width=0.03, softness=0.0, cover=cover, gain=1.0)
    layers = [soft_streaks(128, 128, streaks, np.random.default_rng(seed), 128)
              for seed in range(6)]
    # ends are soft, and where streaks lie over each other less is covered
    assert 0.7 * cover < np.mean(np.array(layers) > 0.1) < 1.6 * cover


def test_a_layer_continues_at_the_opposite_edge():
    layers = np.concatenate([soft_streaks(96, 96, STREAKS, np.random.default_rng(seed), 96)
                             for seed in range(8)], 1)
    inside = np.abs(np.diff(layers, axis=0)).mean()
    assert np.abs(layers[0] - layers[-1]).mean() < 1.5 * inside


def test_lengths_go_with_the_frame():
    """Of a frame twice as large, every second pixel looks like the smaller one."""
    found = []
    for side in (96, 192):
        layers = [soft_streaks(side, side, STREAKS, np.random.default_rng(seed), side)
                  for seed in range(6)]
        found.append((np.mean(layers), np.mean([np.mean(x > 0.2) for x in layers]),
                      np.mean([alike(x, side // 12, 0) for x in layers])))
    np.testing.assert_allclose(found[0], found[1], rtol=0.25)


def test_a_crop_has_the_streaks_of_its_frame():
    whole, part = (np.mean([soft_streaks(*size, STREAKS, np.random.default_rng(seed), 192)
                            for seed in range(8)]) for size in ((192, 192), (64, 96)))
    assert part == pytest.approx(whole, rel=0.25)


def test_streaks_thinner_than_a_pixel_are_fainter():
    thick, thin = (soft_streaks(96, 96, StreakParameters(0.2, width, 0.3, 0.05, 1.0),
                                np.random.default_rng(0), 96).max() for width in (0.01, 0.001))
    assert thin < 0.5 * thick


def test_every_draw_can_be_drawn():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        layer = soft_streaks(40, 56, StreakParameters.draw(rng), rng, 40, float(rng.normal(0, 60)))
        assert np.isfinite(layer).all() and layer.max() < 20
