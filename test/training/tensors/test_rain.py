# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Veil, light and noise of the tensors are those of the renderer, pixel by pixel."""

import numpy as np
import pytest
import torch

from ubcn_ros.data.depth_prior import depth_prior
from ubcn_ros.data.rain import RainRenderer, estimate_airlight
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.training.tensors.rain import add_noise, plain_distance, rendered_rain


@pytest.mark.parametrize('rate', [10.0, 150.0, 300.0])
def test_the_same_streaks_and_distances_make_the_same_image(street, rate):
    image, _ = street
    parameters = RainParameters.random(np.random.default_rng(3), rate, physical=True)
    depth = np.geomspace(3, 200, 96, dtype=np.float32)[::-1, None].repeat(128, 1)
    renderer = RainRenderer(parameters, 96, 128, 7)
    expected = renderer(image, depth)
    found = rendered_rain(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        torch.from_numpy(depth.copy())[None, None],
        torch.from_numpy(renderer.thickness())[None, None], [parameters],
        estimate_airlight(image)[None])
    difference = found[0].permute(1, 2, 0).numpy() - expected
    assert np.abs(difference).mean() < 1.0 and np.abs(difference).max() < 12


def test_plain_distances_are_those_of_the_prior():
    parameters = [RainParameters(50, focal=f, horizon=h) for f, h in ((1.0, 0.45), (1.3, 0.6))]
    y, x = torch.meshgrid(torch.arange(120.0) + 0.5, torch.arange(160.0) + 0.5, indexing='ij')
    points = torch.stack([x, y], -1)[None].repeat(2, 1, 1, 1)
    found = plain_distance(points, torch.full((2, 1, 1, 2), 120.0) + torch.tensor([40.0, 0]),
                           parameters)
    for place, p in enumerate(parameters):
        prior = depth_prior(120, 160, horizon=p.horizon, focal=p.focal)
        ratio = found[place, 0].numpy() / prior
        assert abs(np.log(ratio)).mean() < 0.05, 'the prior is blurred'


def test_noise_is_each_images_own():
    def noisy(seeds):
        return add_noise(torch.full((len(seeds), 3, 40, 50), 100.0), [3.0] * len(seeds), seeds)
    both = noisy([1, 2])
    assert torch.equal(both[1:], noisy([2])) and not torch.equal(both[0], both[1])
    assert float(both.std()) == pytest.approx(3, rel=0.05)
    assert (add_noise(torch.ones(1, 3, 4, 4), [0.0], [1]) == 1).all()
