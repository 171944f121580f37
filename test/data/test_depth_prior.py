# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The prior is a plausible driving scene, with and without labels."""

import cv2
import numpy as np
import pytest

from ubcn_ros.data.depth_prior import complete_depth, depth_prior
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.data.formats.voc2012 import VOC2012

H, W = 180, 240


def test_plain_prior_is_far_at_the_horizon_and_smooth():
    depth = depth_prior(H, W)
    assert depth.shape == (H, W) and depth.dtype == np.float32
    middle = depth[int(0.5 * H):, W // 2]
    assert (np.diff(middle) < 0.01).all() and middle[-1] < 6
    assert 100 < depth[int(0.3 * H), W // 2] <= 150
    assert np.allclose(depth, depth[:, ::-1], rtol=1e-3)
    assert np.abs(np.diff(np.log(depth), axis=1)).max() < 0.2


def test_ground_and_walls_lie_where_a_pinhole_sees_them():
    f, horizon = 1.2 * W, 0.4 * H
    depth = depth_prior(H, W, horizon=0.4, focal=1.2)
    # 1.4 m above the ground, 9 m beside the walls
    assert depth[-20, W // 2] == pytest.approx(f * 1.4 / (H - 19.5 - horizon), rel=0.05)
    assert depth[int(horizon) - 10, 20] == pytest.approx(f * 9 / (W / 2 - 20.5), rel=0.05)
    road = depth_prior(H, W, np.zeros((H, W), np.uint8), ['road'], 0.4, 1.2)
    rows = np.arange(100, H - 2)
    np.testing.assert_allclose(road[rows, 5], f * 1.4 / (rows + 0.5 - horizon), rtol=0.01)


def test_what_stands_has_the_distance_of_its_foot_but_is_not_behind_the_walls():
    labels = np.zeros((H, W), np.uint8)
    labels[:150, 110:130] = 1  # down to the road nearby
    labels[:60, :30] = 1  # and to the horizon, far beyond the wall
    depth = depth_prior(H, W, labels, ['road', 'building'])
    assert depth[20, 120] == pytest.approx(W * 1.4 / (149.5 - 0.45 * H), rel=0.05)
    assert depth[20, 10] == pytest.approx(W * 9 / (W / 2 - 10.5), rel=0.05)


def test_a_wide_image_has_the_distances_of_a_narrower_one():
    narrow, wide = depth_prior(540, 960), depth_prior(1080, 1920)
    np.testing.assert_allclose(wide.reshape(540, 2, 960, 2).mean((1, 3)), narrow, rtol=2e-3)
    steepest = [np.abs(np.diff(depth, axis=0)).max() for depth in (narrow, wide)]
    assert steepest[1] < 0.6 * steepest[0], 'in no steps'
    assert depth_prior(32, 40_000).shape == (32, 40_000)


def test_a_wide_image_takes_a_small_blur(monkeypatch):
    """Its cost would grow with the cube of the width."""
    widths, blur = [], cv2.GaussianBlur
    monkeypatch.setattr(cv2, 'GaussianBlur', lambda values, *arguments: (
        widths.append(values.shape[1]), blur(values, *arguments))[1])
    depth_prior(1180, 2096, horizon=0.41)
    assert widths == [960]


def test_result_is_the_callers_own():
    depth_prior(H, W)[:] = 0
    assert depth_prior(H, W).min() > 0


def id_of(label_set, name):
    return [c.lower() for c in label_set.classes].index(name)


def scene(label_set):
    labels = np.full((H, W), id_of(label_set, 'road'), np.uint8)
    labels[:81] = id_of(label_set, 'sky')
    labels[40:100, :40] = id_of(label_set, 'building')
    labels[70:120, 100:140] = id_of(label_set, 'car')
    return labels


@pytest.mark.parametrize('label_set', [CAMVID, CITYSCAPES])
def test_labels_shape_the_scene(label_set):
    depth = depth_prior(H, W, scene(label_set), label_set.classes)
    assert depth[10, 120] > 200
    car = depth[75:115, 105:135]
    assert car.std() < 0.02 * car.mean()
    # The car stands where the road begins below it, in front of what is beside it.
    assert abs(car.mean() - depth[122, 120]) < 0.1 * car.mean()
    assert depth[90, 120] < depth[90, 180]
    assert depth[50, 20] < 60


def test_labels_of_unknown_classes_keep_the_prior():
    labels = np.full((H, W), VOC2012.classes.index('background'), np.uint8)
    labels[:20] = 255
    plain = depth_prior(H, W)
    assert np.abs(depth_prior(H, W, labels, VOC2012.classes) / plain - 1).max() < 0.05


def test_errors():
    with pytest.raises(ValueError, match='class_names'):
        depth_prior(H, W, np.zeros((H, W), np.uint8))
    with pytest.raises(ValueError, match=r'\(2, 3\)'):
        depth_prior(H, W, np.zeros((2, 3), np.uint8), CAMVID.classes)


def test_what_is_not_measured_comes_from_the_prior():
    labels = scene(CAMVID)
    prior = depth_prior(H, W, labels, CAMVID.classes)
    np.testing.assert_array_equal(complete_depth(None, labels, CAMVID.classes), prior)
    measured = np.full((H, W), 7.0, np.float32)
    assert complete_depth(measured, labels, CAMVID.classes) is measured
    measured[:2], measured[2] = 0, np.nan
    np.testing.assert_array_equal(complete_depth(measured, labels, CAMVID.classes)[:3], prior[:3])
    assert (complete_depth(measured, labels, CAMVID.classes)[3:] == 7).all()


@pytest.mark.parametrize('name', ['Vehicle', 'two_wheeler', 'Traffic-Cone', 'PEOPLE'])
def test_objects_of_any_set_stand_on_their_foot_point(name):
    names = ['lane marking', 'Nature', name, 'something']
    labels = np.zeros((H, W), np.uint8)
    labels[:100], labels[70:120, 100:140] = 3, 2
    found = depth_prior(H, W, labels, names)
    assert found[75:115, 105:135].std() < 0.02 * found[75:115, 105:135].mean()
    unknown = depth_prior(H, W, labels, ['lane marking', 'Nature', 'cloud', 'something'])
    assert unknown[75:115, 105:135].std() > 0.1 * unknown[75:115, 105:135].mean()


@pytest.mark.parametrize('name', ['car', 'building', 'road', 'sky'])
def test_an_image_of_one_class_alone_has_distances(name):
    labels = np.full((64, 96), id_of(CAMVID, name), np.uint8)
    depth = complete_depth(None, labels, CAMVID.classes)
    assert np.isfinite(depth).all() and (depth > 0).all()
    assert name != 'car' or np.allclose(depth, depth[0, 0]), 'one object, on one foot point'
