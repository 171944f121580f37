# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Views look at the part of an image that their numbers say."""

import cv2
import numpy as np
import pytest
import torch

from ubcn_ros.training.tensors.scenes import load_scenes
from ubcn_ros.training.tensors.views import View, Views, draw_view, image_level, reflected

CPU = torch.device('cpu')


@pytest.fixture
def look(scene_list):
    """Function that looks at an image: its view and crop to image and labels."""
    def seen(image, view, crop, labels=None):
        labels = image[..., 0] if labels is None else labels
        views = Views(load_scenes(scene_list((image, labels), label_set=None), CPU), [view], crop)
        return views.images()[0].permute(1, 2, 0).numpy(), views.labels()[0].numpy()
    return seen


@pytest.fixture
def noise():
    return np.random.default_rng(3).integers(0, 254, (37, 50, 3)).astype(np.uint8)


@pytest.mark.parametrize('turns', [0, 1, 2, 3])
@pytest.mark.parametrize('mirror', [False, True])
def test_windows_mirrors_and_quarter_turns_are_exact(look, noise, turns, mirror):
    image, labels = look(noise, View(0, 1.0, 5, 9, mirror, turns), (20, 24))
    expected = np.rot90(noise, turns)[5:25, 9:33]
    expected = expected[:, ::-1] if mirror else expected
    np.testing.assert_allclose(image, expected, atol=1e-2)
    assert np.array_equal(labels, expected[..., 0])


def test_half_the_size_is_the_mean_of_four_pixels(look, noise):
    image, _ = look(noise[:36], View(0, 0.5, 2, 3, False), (10, 12))
    means = noise[4:24, 6:30].reshape(10, 2, 12, 2, 3).mean((1, 3))
    np.testing.assert_allclose(image, means, atol=0.51)  # levels are whole numbers


@pytest.mark.parametrize('scale', [0.3, 0.5, 0.55, 0.7, 0.9, 1.05, 1.5, 2])
def test_images_are_as_sharp_as_opencvs(look, scale):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 0.8)
    size = round(160 * scale), round(120 * scale)
    assert size == pytest.approx((160 * scale, 120 * scale))
    expected = cv2.resize(image, size, interpolation=(
        cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)).astype(float)
    seen, _ = look(image, View(0, scale, 0, 0, False), size[::-1])
    assert seen.std() == pytest.approx(expected.std(), rel=0.06)
    assert np.abs(seen - expected).mean() < 0.15 * expected.std()


def test_beyond_the_edges_is_the_mirror_image(look, noise):
    image, labels = look(noise, View(0, 1.0, 0, 0, False), (50, 60))
    np.testing.assert_allclose(image[:37, :50], noise, atol=1e-2)
    np.testing.assert_allclose(image[37:50, :50], noise[35:22:-1], atol=1e-2)
    np.testing.assert_allclose(image[:37, 50:60], noise[:, 48:38:-1], atol=1e-2)
    assert (labels[37:] == 255).all() and (labels[:, 50:] == 255).all()
    assert np.array_equal(labels[:37, :50], noise[..., 0])
    _, labels = look(noise, View(0, 1.0, 0, 0, False, repeats=True), (50, 60))
    assert np.array_equal(labels[37:50, :50], noise[35:22:-1, :, 0])


@pytest.mark.parametrize('mirror', [False, True])
def test_distances_lie_where_their_pixels_do(scene_list, noise, mirror):
    depth = np.add.outer(2 * np.arange(37), np.arange(50)).astype(np.float32) + 10
    scenes = load_scenes(scene_list((noise, None, depth), label_set=None), CPU)
    found = Views(scenes, [View(0, 1.0, 4, 10, mirror)], (20, 24)).depth()[0, 0].numpy()
    expected = depth[4:24, 10:34]
    np.testing.assert_allclose(found, expected[:, ::-1] if mirror else expected, rtol=1e-3)


@pytest.mark.parametrize(('scale', 'level'), [(3, 0), (1, 0), (0.75, 0), (0.51, 0), (0.5, 1),
                                              (0.26, 1), (0.25, 2), (0.1, 3), (0.01, 3)])
def test_levels(scale, level):
    assert image_level(scale) == level


def test_reflected_coordinates():
    points = torch.tensor([-3.0, -0.25, 0.0, 4.0, 9.0, 9.5, 12.0, 20.0])[None, None, :, None]
    found = reflected(points.expand(1, 1, 8, 2) + 0.5, torch.tensor([10.0, 10.0]))
    expected = torch.tensor([3.0, 0.25, 0.0, 4.0, 9.0, 8.5, 6.0, 2.0])
    torch.testing.assert_close(found[0, 0, :, 0], expected + 0.5, atol=1e-5, rtol=0)


def test_the_middle_of_the_image_is_its_middle():
    view = View(0, 2.0, 10, 20, True)
    matrix = view.from_middle((100, 200), (40, 60))
    # at twice its size the middle is 100 down and 200 to the right
    x, y = 60 - (200 - 20), 100 - 10
    assert matrix @ (x, y, 1) == pytest.approx([0, 0])
    assert matrix @ (x + 1, y + 1, 1) == pytest.approx([-1, 1])


def test_a_rotated_camera_turns_about_the_samples_middle(look):
    image = np.zeros((81, 81, 3), np.uint8)
    image[40:, 40] = 200  # a line from the middle down
    labels = np.zeros((81, 81), np.uint8)
    turned, _ = look(image, View(0, 1.0, 10, 10, False, angle=30), (61, 61), labels)
    y, x = np.argwhere(turned[..., 0] > 60).mean(0) - 30
    assert np.degrees(np.arctan2(x, y)) == pytest.approx(30, abs=4)
    assert turned[30, 30, 0] > 60, 'the middle stays'
    _, found = look(image, View(0, 1.0, 0, 0, False, angle=30), (81, 81), labels)
    assert found[40, 40] == 0 and found[0, 0] == 255, 'beyond the edges nothing is labelled'


def test_streaks_do_not_turn_with_the_camera():
    upright, turned = (View(0, 2.0, 10, 20, True, angle=a) for a in (0, 5))
    assert np.array_equal(upright.from_middle((100, 200), (40, 60)),
                          turned.from_middle((100, 200), (40, 60)))


def test_a_drawn_rotation_is_no_larger_than_asked():
    angles = [draw_view(np.random.default_rng(n), 0, (96, 128), (48, 64), 1.0, rotation=4).angle
              for n in range(60)]
    assert 3 < max(angles) <= 4 and -4 <= min(angles) < -3


@pytest.mark.parametrize('focus', [(0.5, 0.5), (60, 80), (95.5, 127.5)])
def test_a_focus_is_shown_near_the_middle(focus):
    for n in range(20):
        view = draw_view(np.random.default_rng(n), 0, (96, 128), (30, 40), 1.5, focus=focus)
        y, x = focus[0] * 1.5 - view.top, focus[1] * 1.5 - view.left
        assert 0 <= y <= 30 and 0 <= x <= 40
        assert 0 <= view.top <= 144 - 30 and 0 <= view.left <= 192 - 40
        if focus == (60, 80):
            assert 7 <= y <= 23 and 9 <= x <= 31


@pytest.mark.parametrize('strong', [False, True])
def test_drawn_views_lie_inside_where_the_image_is_large_enough(strong):
    rng = np.random.default_rng(0)
    for _ in range(200):
        view = draw_view(rng, 0, (100, 150), (20, 30), 1.3, strong)
        size = np.array([150, 100])
        points = [view.matrix((100, 150), (20, 30)) @ (x, y, 1) for x in (0, 30) for y in (0, 20)]
        if view.scale > 0.5:
            assert all((-1 <= p).all() and (p <= size + 1).all() for p in points)
