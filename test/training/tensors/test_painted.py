# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Painted rain on tensors is as strong as on arrays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ubcn_ros.data.painted_rain import HAZE_PROBABILITY, paint_rain
from ubcn_ros.training.tensors.painted import PaintedStreaks

CPU = torch.device('cpu')


def change(rainy, image):
    return np.mean(rainy.astype(float) - image)


def test_it_brightens_as_painted_rain_does():
    image = np.full((64, 80, 3), 60, np.uint8)
    streaks = PaintedStreaks((64, 80), 1, CPU, 0, (0, 1), HAZE_PROBABILITY, 0.35)
    rng = np.random.default_rng(0)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().repeat(48, 1, 1, 1)
    found = streaks.painted(tensor, [streaks.draw(rng) for _ in range(48)])
    assert found.shape == tensor.shape and 0 <= found.min() and found.max() <= 255
    expected = []
    for n in range(80):
        rng = np.random.default_rng(n)
        severity = rng.beta(1.1, 2.0)  # as of random_severity from 0 to 1
        rainy = paint_rain(image, rng, severity, HAZE_PROBABILITY, 0.35)
        expected.append(change(rainy, image))
    assert float((found - tensor).mean()) == pytest.approx(np.mean(expected), rel=0.35)


def test_severity_and_haze_are_as_asked_for():
    rng = np.random.default_rng(0)
    light, strong = (PaintedStreaks((32, 48), 1, CPU, 0, severity, haze, 0)
                     for severity, haze in (((0, 0.1), 1), ((0.8, 1), 0)))
    assert all(light.draw(rng).haze.min() > 0 for _ in range(8))
    assert all(not strong.draw(rng).haze.any() for _ in range(8))
    image = torch.zeros(8, 3, 32, 48)
    means = [float(streaks.painted(image, [replace(streaks.draw(rng), haze=np.zeros((3, 4)))
                                           for _ in range(8)]).mean())
             for streaks in (light, strong)]
    assert means[1] > 3 * means[0]


def test_samples_lie_inside_their_pictures():
    streaks, rng = PaintedStreaks((32, 48), 1, CPU, 0, (0, 1), 0, 0), np.random.default_rng(0)
    assert {np.sign(streaks.draw(rng).matrix[0, 0]) for _ in range(50)} == {-1, 1}
    for _ in range(200):
        corners = streaks.draw(rng).matrix @ [[0, 48, 0, 48], [0, 0, 32, 32], [1, 1, 1, 1]]
        assert corners.min() > -1e-9, 'a mirrored part would lean to the other side'
        assert (corners.max(1) < np.array(streaks.size[::-1]) + 1e-9).all()


def test_pictures_follow_from_the_seed():
    first, again = (PaintedStreaks((32, 48), 2, CPU, workers, (0, 1), 0.4, 0.5)
                    for workers in (0, 1))
    image = torch.zeros(1, 3, 32, 48)
    found = [s.painted(image, [s.draw(np.random.default_rng(5))]) for s in (first, again)]
    assert torch.equal(*found) and found[0].max() > 0
