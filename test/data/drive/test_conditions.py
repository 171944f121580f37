# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Other cameras see the same street; wet ground mirrors it, night hides it, a wiper covers it."""

from dataclasses import replace

import numpy as np
import pytest

from ubcn_ros.data.drive.conditions import Conditions, mirrored
from ubcn_ros.data.drive.drive import Drive
from ubcn_ros.data.drive.render import Label

SIZE = {'height': 120, 'width': 160}
AHEAD = Conditions(1.4, 1.0, 0.45, 0.0, 0.0, -1.5)


@pytest.fixture(scope='module')
def drive(painted):
    return painted(6, **SIZE)


def test_draws_are_as_different_as_they_say(drive):
    drawn = [Conditions.draw(np.random.default_rng(seed), drive.style) for seed in range(60)]
    heights = [c.camera_height for c in drawn]
    assert min(heights) < 0.7 and max(heights) > 2.8
    assert sum(abs(c.yaw) > 0.5 for c in drawn) > 10
    for part in ('wet', 'night', 'wiper'):
        assert 0 < sum(bool(getattr(c, part)) for c in drawn) < 40
    again = Conditions.draw(np.random.default_rng(3), drive.style)
    assert again == drawn[3]


def test_every_draw_renders(drive):
    for seed in range(6):
        frame = drive.frame(2.0, Conditions.draw(np.random.default_rng(seed), drive.style))
        assert frame.image.shape == (120, 160, 3) and np.isfinite(frame.depth).all()
        assert (frame.depth > 0.3).all() and len(np.unique(frame.labels)) > 1


def test_depth_of_the_road_is_the_ground_plane_of_that_camera(drive):
    conditions = replace(AHEAD, camera_height=2.5, yaw=0.5)
    frame, camera = drive.frame(2.0, conditions), drive.camera(2.0, conditions)
    assert camera.position[1] == pytest.approx(-2.5, abs=0.05)
    road = frame.labels == Label.ROAD
    expected = -camera.position[1] / camera.rays()[1][road]
    assert road.any() and np.allclose(frame.depth[road], expected, rtol=1e-3)


def test_the_mirrored_camera_sees_what_the_ground_mirrors(drive):
    """A point above the ground lies in its picture, upside down, where its mirror image would."""
    camera = drive.camera(1.0, replace(AHEAD, roll=0.1, yaw=0.3))
    point = camera.position + np.array([1.0, 0.4, 12.0])
    below = point * (1, -1, 1)
    seen = [cam.rotation @ (p - cam.position) for cam, p in ((camera, below),
                                                             (mirrored(camera), point))]
    (x, y, z), (u, v, w) = seen
    assert (x / z, -y / z) == pytest.approx((u / w, v / w))


def test_only_the_ground_is_wet(drive):
    dry, wet = (drive.frame(2.0, replace(AHEAD, wet=wet)) for wet in (0.0, 1.0))
    assert np.array_equal(dry.labels, wet.labels) and np.array_equal(dry.depth, wet.depth)
    change = np.abs(dry.image.astype(int) - wet.image).max(2)
    ground = np.isin(dry.labels, (Label.ROAD, Label.SIDEWALK))
    assert change[~ground].mean() < 1 < 8 < change[ground].mean()


def test_night_is_darker_the_farther_away(drive):
    day, night = (drive.frame(2.0, replace(AHEAD, night=night)) for night in (0.0, 1.0))
    kept = (night.image.astype(float) + 1).sum(2) / (day.image.astype(float) + 1).sum(2)
    middle = kept[:, 60:100]
    near, far = day.depth[:, 60:100] < 8, day.depth[:, 60:100] > 60
    assert np.median(middle[near]) > 2 * np.median(middle[far])
    assert np.array_equal(day.labels, night.labels)


@pytest.mark.parametrize('place', [0.0, 0.5, 1.0])
def test_a_wiper_is_dark_and_unlabeled(drive, place):
    clear, wiped = (drive.frame(2.0, replace(AHEAD, wiper=wiper)) for wiper in (None, place))
    covered = (wiped.labels == Label.UNLABELED) & (clear.labels != Label.UNLABELED)
    assert 0.005 < covered.mean() < 0.2
    assert wiped.image[covered].mean() < 0.5 * clear.image[covered].mean()


def test_its_own_car_sees_what_it_saw(drive):
    plain, other, again = (drive.frame(1.0, look) for look in (None, AHEAD, None))
    assert np.array_equal(plain.image, again.image)
    assert not np.array_equal(plain.image, other.image)


@pytest.mark.parametrize('seed', [101, 103])
def test_no_ground_lies_above_a_rolled_horizon(seed):
    drive, rng = Drive(seed, 96, 128), np.random.default_rng(seed)
    for time_s in (0.3, 3.1, 7.1):
        conditions = Conditions.draw(rng, drive.style)
        frame, rays = drive.frame(time_s, conditions), drive.camera(time_s, conditions).rays()
        ground = np.isclose(frame.depth, 400, rtol=1e-3) & (frame.labels != Label.SKY)
        assert not (ground & (rays[1] <= 0)).any()
