# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of figures, surfaces and vehicles: sizes, silhouettes, and the same from a seed."""

from dataclasses import replace

import numpy as np
import pytest

from ubcn_ros.data.drive import people, surfaces
from ubcn_ros.data.drive.noise import noise_patch, noise_tile
from ubcn_ros.data.drive.render import Label
from ubcn_ros.data.drive.vehicles import SHAPES, Vehicle

LIGHT = surfaces.Light(0.5, 0.5, (0.0, -1.0, 0.0), 0.1)


def generator(seed=0):
    return np.random.default_rng(seed)


def test_noise_repeats_without_a_seam():
    tile = noise_tile(1.6, 1)
    assert tile.mean() == pytest.approx(0, abs=1e-3) and tile.std() == pytest.approx(1, abs=1e-3)
    inside = np.abs(np.diff(tile, axis=0)).mean()
    assert np.abs(tile[0] - tile[-1]).mean() < 1.5 * inside
    assert noise_patch(generator(), 30, 700, 1.6, (1.0, 4.0)).shape == (30, 700)


@pytest.mark.parametrize('kind', ['summer', 'dark', 'autumn', 'bare', 'conifer'])
def test_trees_stand_on_a_trunk_inside_the_picture(kind):
    picture = people.tree(generator(3), kind, 1.0)
    alpha = picture[..., 3] > 127
    assert picture.shape == (320, 256, 4)
    assert 0.03 < alpha.mean() < 0.8
    assert alpha[-3:, 110:146].any()
    assert alpha[:, 0].mean() < 0.1 and alpha[:, -1].mean() < 0.1


def test_people_walk_and_cyclists_pedal():
    for make in (lambda p: people.pedestrian(5, p, True, 1.0),
                 lambda p: people.cyclist(5, p, 'side', 1.0),
                 lambda p: people.cyclist(5, p, 'end', 1.0)):
        a, b = make(0.0), make(0.25)
        assert np.array_equal(a, make(0.0)) and not np.array_equal(a, b)
        rows = np.flatnonzero(a[..., 3].any(1))
        assert rows[0] < 12 and rows[-1] > 244
    assert not np.array_equal(people.pedestrian(1, 0, True, 1.0),
                              people.pedestrian(2, 0, True, 1.0))


@pytest.mark.parametrize('kind', ['brick', 'plaster', 'stone', 'concrete', 'glass'])
def test_facades_have_their_size_and_get_darker_with_less_light(kind):
    day, color = surfaces.facade(generator(1), 8.0, 9.0, kind, 3, True, LIGHT)
    night, _ = surfaces.facade(generator(1), 8.0, 9.0, kind, 3, True, replace(LIGHT, ambient=0.1))
    assert day.shape == (9 * surfaces.PIXELS_PER_METRE, 8 * surfaces.PIXELS_PER_METRE, 3)
    assert day.mean() > 1.2 * night.mean() and len(color) == 3
    assert day.std() > 10


def test_light_depends_on_the_normal():
    assert LIGHT.gain((0, -1, 0)) == 1.0 and LIGHT.gain((0, 1, 0)) == 0.5


@pytest.mark.parametrize('kind', ['round', 'triangle', 'blue', 'board', 'back', 'lights'])
def test_signs(kind):
    picture = surfaces.sign(generator(), kind, 1.0)
    assert picture.shape == (96, 96, 4) and 0.4 < (picture[..., 3] > 0).mean() <= 1


def test_unknown_sign_is_named():
    with pytest.raises(ValueError, match='hexagon'):
        surfaces.sign(generator(), 'hexagon', 1.0)


def test_railings_have_gaps_and_boards_have_not():
    assert (surfaces.fence(generator(), 'railing', 1.0)[..., 3] > 0).mean() < 0.7
    assert (surfaces.fence(generator(), 'boards', 1.0)[..., 3] > 0).mean() > 0.95


@pytest.mark.parametrize('kind', SHAPES)
def test_vehicles_stay_in_their_box_and_turn(kind):
    shape = SHAPES[kind]
    vehicle = Vehicle(generator(2), kind, LIGHT)
    for heading, half in ((0.0, (shape.width / 2, shape.length / 2)),
                          (np.pi / 2, (shape.length / 2, shape.width / 2))):
        quads, shadow = vehicle.place(10.0, 50.0, heading)
        corners = np.array([np.add(q.corner, np.add(np.multiply(q.right, s),
                                                    np.multiply(q.down, t)))
                            for q in quads for s in (0, 1) for t in (0, 1)])
        assert (np.abs(corners[:, 0] - 10) <= half[0] + 0.05).all()
        assert (np.abs(corners[:, 2] - 50) <= half[1] + 0.05).all()
        assert corners[:, 1].max() == pytest.approx(0, abs=0.05)  # the wheels touch the road
        assert {q.label for q in quads} == {Label.CAR} and shadow.label is None
