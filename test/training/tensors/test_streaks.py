# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers of streaks: for every size and rate, looked at where the sample is."""

import numpy as np
import pytest
import torch

from ubcn_ros.data.rain import RainRenderer
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.training.tensors.streaks import (
    RATES_MM_H,
    LayerView,
    StreakLayers,
    _to_layer,
    coverage,
    frame_sizes,
)
from ubcn_ros.training.tensors.views import draw_view

CPU = torch.device('cpu')
SIZES = ((48, 64), (72, 96))


@pytest.fixture(scope='module')
def layers():
    return StreakLayers(SIZES, (True, False), 2, 4, CPU)


def whole(side):
    """All of a frame of 4:3, as of ``View.shown``."""
    return np.array([[-side / 1.5, side / 1.5], [-side / 2, side / 2]])


def test_frame_sizes_are_near_to_all_of_a_range():
    sizes = frame_sizes((360, 1440), 4 / 3)
    for side in np.geomspace(360, 1440, 50):
        assert min(max(side / min(s), min(s) / side) for s in sizes) < 1.25
    assert frame_sizes((360, 360), 4 / 3) == [(360, 480)]
    assert frame_sizes((100, 100), 0.5) == [(200, 100)]


@pytest.mark.parametrize('rate', [20.0, 150.0, 300.0])
def test_coverage_is_that_of_rendered_streaks(rate):
    def mean(rate):
        return np.mean([RainRenderer(RainParameters(rate), 240, 320, seed).thickness()
                        for seed in range(8)])
    assert mean(rate) / mean(90.0) == pytest.approx(
        coverage(rate) / coverage(90.0), rel=0.15)


def test_drawn_layers_fit_size_rate_and_kind(layers):
    rng = np.random.default_rng(0)
    per_kind = len(RATES_MM_H) * 2
    for side, size in ((40, 0), (47, 0), (65, 1), (200, 1)):
        for rate, number in ((1, 0), (140, 4), (300, 5)):
            for physical in (True, False):
                view = layers.draw(rng, side, whole(side), rate, 0.5, physical)
                assert view.size == size and view.gain > 0
                assert view.layer // 2 == number + (0 if physical else per_kind // 2)
    more, less = (layers.draw(rng, 48, whole(48), rate, 0.5, True).gain for rate in (299, 200))
    assert more > 0.5 > less


def test_what_is_shown_lies_inside_its_layer_wherever_it_fits(layers):
    rng = np.random.default_rng(0)
    places = []
    for _ in range(400):
        side, crop = float(rng.uniform(48, 85)), (40, 50)
        size = (side, side * 4 / 3)
        view = draw_view(rng, 0, size, crop, 1.0)
        found = layers.draw(rng, side, view.shown(size, crop), 90, 0.5, True)
        height, width = layers.sizes[found.size]
        matrix = _to_layer(found, view.from_middle(size, crop), height, width)
        corners = np.sort(matrix @ [[0, crop[1]], [0, crop[0]], [1, 1]])
        assert (corners >= -1).all() and (corners <= [[width + 1], [height + 1]]).all()
        places.append((found.size, *corners[:, 0]))
    assert len(set(places)) > 250, 'places turned back at an edge stay apart'


def test_a_layer_that_holds_what_is_shown_goes_before_a_nearer_one(layers):
    rng = np.random.default_rng(0)
    for side, size in ((48, 0), (50, 1), (71, 1), (100, 1)):
        assert layers.draw(rng, side, whole(side), 90, 0.5, True).size == size, side


def test_a_layer_is_shown_pixel_by_pixel_around_the_middle(layers):
    from_middle = np.array([[1.0, 0, -32 + 10], [0, 1.0, -24 + 4]])  # window at (4, 10)
    layer = layers._layers[0][3, 0].float()
    plain, mirrored, moved = layers.thickness(
        [LayerView(0, 3, 2.0, (0, 0), False), LayerView(0, 3, 1.0, (0, 0), True),
         LayerView(0, 3, 1.0, (-4 / 64, 2 / 48), False)], [from_middle] * 3, (20, 30))
    torch.testing.assert_close(plain[0], 2 * layer[4:24, 10:40], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(mirrored[0], layer.flip(1)[4:24, 10:40], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(moved[0], layer[6:26, 6:36], atol=1e-3, rtol=1e-3)


def test_whole_frames_lie_inside_of_shrunk_layers(layers):
    more, rng, crop = layers.with_shrunk(36), np.random.default_rng(0), (36, 48)
    for _ in range(100):
        view = draw_view(rng, 0, (72, 96), crop, 0.5)
        found = more.draw(rng, 36, view.shown((72, 96), crop), 90, 0.5, True, 2)
        matrix = _to_layer(found, view.from_middle((72, 96), crop), *more.sizes[found.size])
        corners = np.sort(matrix @ [[0, 48], [0, 36], [1, 1]])
        assert found.size == 3 and (corners >= -1).all() and (corners <= [[57], [43]]).all()


def test_shrunk_layers_are_of_larger_frames_and_cover_as_much(layers):
    more = layers.with_shrunk(36)
    assert layers.sizes == SIZES == more.sizes[:2] and more.sizes[2:] == ((42, 56),) * 2
    assert more.frames == (*SIZES, (41, 55), (62, 83)), 'in 42 pixels as 48 and 72 in 36'
    rng = np.random.default_rng(0)
    for side, shrunk, size in ((48, 1, 0), (72, 1, 1), (36, 1.3, 2), (36, 2, 3), (36, 9, 3)):
        assert more.draw(rng, side, whole(side), 90, 0.5, True, shrunk).size == size
    for of, small in ((0, 2), (1, 3)):
        covers = [-torch.expm1(-0.3 * more._layers[n].float()) for n in (of, small)]
        means = [cover.mean((1, 2, 3)) for cover in covers]
        torch.testing.assert_close(*means, rtol=0.1, atol=3e-3)
        assert covers[1].std() < covers[0].std(), 'thin streaks fade'
    more.thickness([LayerView(3, 1, 1.0, (0, 0), False)], [np.eye(2, 3)], (20, 30))


def test_layers_follow_from_the_seed_and_differ(layers):
    again = StreakLayers(SIZES, (True, False), 2, 4, CPU, workers=1)
    assert all(torch.equal(*pair) for pair in zip(layers._layers, again._layers, strict=True))
    stack = layers._layers[1].flatten(1)
    assert len(stack) == 2 * len(RATES_MM_H) * 2
    assert len(stack.unique(dim=0)) >= 20, 'light rain may show no streak'
