# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A procedural drive follows from its seed, and its labels and depth are those of its geometry."""

import functools

import numpy as np
import pytest

from ubcn_ros.data.drive.drive import Drive, drive_clip
from ubcn_ros.data.drive.render import FAR_M, Label
from ubcn_ros.data.rain import RainRenderer
from ubcn_ros.data.rain_parameters import RainParameters

SIZE = {'height': 120, 'width': 160}


@pytest.fixture(scope='module')
def drives(painted):
    """Function that returns the drive of a seed."""
    return lambda seed: painted(seed, **SIZE)


@pytest.fixture(scope='module')
def frames(drives):
    """Function that returns the frame of a seed and a time, rendered once: read it only."""
    return functools.cache(lambda seed, time_s: drives(seed).frame(time_s))


@pytest.fixture(scope='module')
def drive(drives):
    return drives(6)


def same(a, b):
    return (np.array_equal(a.image, b.image) and np.array_equal(a.labels, b.labels)
            and np.array_equal(a.depth, b.depth))


def test_shapes_and_types(drive):
    frame = drive.frame(0.25)
    assert frame.image.shape == (120, 160, 3) and frame.image.dtype == np.uint8
    assert frame.labels.shape == (120, 160) and frame.labels.dtype == np.uint8
    assert frame.depth.shape == (120, 160) and frame.depth.dtype == np.float32


def test_any_order_gives_the_same_frames(drive):
    forward = [drive.frame(t) for t in (0.0, 1.0, 9.0)]
    other = Drive(6, **SIZE)
    backward = [other.frame(t) for t in (9.0, 1.0, 0.0)][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward, strict=True))


def test_seeds_differ_and_time_moves(frames):
    assert not same(frames(6, 0.0), frames(5, 0.0))
    a, b = frames(6, 0.0), frames(6, 0.5)
    assert (a.labels != b.labels).mean() > 0.005


def test_depth_is_far_exactly_where_the_sky_is(frames):
    for seed in range(3):
        frame = frames(seed, 4.0)
        assert np.isfinite(frame.depth).all() and (frame.depth > 0.3).all()
        sky = frame.labels == Label.SKY
        assert sky.any()
        assert np.allclose(frame.depth[sky], FAR_M, rtol=1e-3)
        assert (frame.depth[~sky] < 0.6 * FAR_M).all()


def test_depth_of_the_road_is_the_ground_plane(drive):
    frame, camera = drive.frame(2.0), drive.camera(2.0)
    road = frame.labels == Label.ROAD
    expected = -camera.position[1] / camera.rays()[1][road]
    assert np.allclose(frame.depth[road], expected, rtol=1e-3)


@pytest.mark.parametrize('seed', [2, 5, 8])
def test_what_stands_still_is_found_again_from_the_next_place(seed, drives):
    """Lift pixels with their depth, move the camera, and find label and depth unchanged."""
    drive = drives(seed)
    t0, t1 = 3.0, 3.15
    a, b, before, after = drive.frame(t0), drive.frame(t1), drive.camera(t0), drive.camera(t1)
    still = np.isin(a.labels, (Label.ROAD, Label.BUILDING, Label.SIDEWALK)) & (a.depth < 30)
    directions = before.rays()[:, still] * a.depth[still]
    seen = after.rotation @ (directions + (before.position - after.position)[:, None])
    x = np.floor(after.focal * seen[0] / seen[2] + 80).astype(int)
    y = np.floor(after.focal * seen[1] / seen[2] + 60).astype(int)
    inside = (x >= 0) & (x < 160) & (y >= 0) & (y < 120) & (seen[2] > 1)
    assert inside.sum() > 1300
    labels = b.labels[y[inside], x[inside]]
    agree = labels == a.labels[still][inside]
    assert agree.mean() > 0.88  # the rest is hidden by what moves or lies on a border
    error = np.abs(b.depth[y[inside], x[inside]] / seen[2][inside] - 1)[agree]
    assert np.quantile(error, 0.85) < 0.05


def test_every_class_occurs(frames):
    seen = set()
    for seed in range(4):
        for time_s in (0.0, 4.0, 8.0):
            seen |= set(np.unique(frames(seed, time_s).labels).tolist())
    assert set(range(11)) <= seen <= {*range(11), 255}


def test_views_vary_between_seeds(frames):
    views = [frames(seed, 0.0) for seed in range(6)]
    brightness = [float(view.image.mean()) for view in views]
    sky = [float((view.labels == Label.SKY).mean()) for view in views]
    assert max(brightness) > 1.4 * min(brightness)
    assert max(sky) - min(sky) > 0.05


@pytest.mark.parametrize('arguments', [{'height': 16}, {'width': 31}, {'seed': -1}])
def test_bad_arguments_are_named(arguments):
    (value,) = arguments.values()
    with pytest.raises(ValueError, match=str(value)):
        Drive(**{'seed': 0, **SIZE, **arguments})


def test_clip_counts_and_times(drives, monkeypatch):
    monkeypatch.setattr('ubcn_ros.data.drive.drive.Drive', lambda seed, *_: drives(seed))
    images = list(drive_clip(3, frames=3, rate_hz=10, rain_mm_h=0.0, **SIZE))
    for image, time_s in zip(images, (0.0, 0.1, 0.2), strict=True):
        assert np.array_equal(image, drives(3).frame(time_s).image)


def test_a_clip_can_be_rainy(drives, monkeypatch):
    monkeypatch.setattr('ubcn_ros.data.drive.drive.Drive', lambda seed, *_: drives(seed))
    dry = list(drive_clip(3, frames=2, rate_hz=15, rain_mm_h=0.0, **SIZE))
    wet = list(drive_clip(3, frames=2, rate_hz=15, rain_mm_h=150.0, **SIZE))
    for a, b in zip(dry, wet, strict=True):
        assert b.dtype == np.uint8 and b.shape == a.shape
        assert np.abs(a.astype(int) - b).mean() > 2


def test_the_rain_of_a_clip_is_before_the_camera_of_its_drive(drives, monkeypatch):
    monkeypatch.setattr('ubcn_ros.data.drive.drive.Drive', lambda seed, *_: drives(seed))
    drive = drives(3)
    moved = drive.camera(1.0).position - drive.camera(0.0).position
    rain = RainRenderer(RainParameters(
        150.0, speed_m_s=round(moved[2], 6), focal=drive.camera(0.0).focal / SIZE['width'],
        horizon=drive.style.horizon_at), seed=3, **SIZE)
    frame = drive.frame(0.0)
    wet = next(drive_clip(3, frames=1, rate_hz=15, rain_mm_h=150.0, **SIZE))
    np.testing.assert_allclose(wet, rain(frame.image, frame.depth).astype(int), atol=1)
