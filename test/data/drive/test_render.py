# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label, depth and colour of a painted rectangle come from one and the same geometry."""

from dataclasses import replace

import numpy as np
import pytest

from ubcn_ros.data.drive.drive import LABEL_SET, Drive
from ubcn_ros.data.drive.render import (
    FAR_M,
    Billboard,
    Canvas,
    Label,
    PinholeCamera,
    Quad,
    Texture,
)
from ubcn_ros.labels import UNLABELED

WHITE = Texture(np.full((8, 8, 3), 255, np.uint8))


def make_canvas(yaw=0.0, height=96, width=128):
    camera = PinholeCamera(height, width, 100.0, np.array([0.0, -1.5, 0.0]), yaw, 0.0, 0.0)
    image = np.zeros((height, width, 3), np.uint8)
    return Canvas(camera, image, np.zeros((height, width), np.uint8),
                  np.full((height, width), 1 / FAR_M, np.float32))


def upright(z, label, texture=WHITE, x=-1.0, **more):
    return Quad(texture, (x, -2.5, z), (2.0, 0.0, 0.0), (0.0, 2.0, 0.0), label, **more)


def test_position_and_size_follow_the_pinhole():
    canvas = make_canvas()
    canvas.draw([upright(5.0, Label.CAR)], [])
    rows, columns = np.nonzero(canvas.labels == Label.CAR)
    assert abs(rows.min() - 28) <= 1 and abs(rows.max() - 67) <= 1
    assert abs(columns.min() - 44) <= 1 and abs(columns.max() - 83) <= 1
    assert np.allclose(1 / canvas.inverse[canvas.labels == Label.CAR], 5.0, rtol=1e-4)


def test_label_is_where_the_colour_is():
    canvas = make_canvas(0.2)
    quad = Quad(WHITE, (-1.5, -2.4, 3.0), (1.0, 0.3, 4.0), (0.2, 2.0, 0.0), Label.FENCE,
                two_sided=True)
    canvas.draw([quad], [])
    assert np.array_equal(canvas.labels == Label.FENCE, canvas.image[..., 0] > 127)
    assert (canvas.labels == Label.FENCE).sum() > 100


def test_depth_of_a_slanted_plane():
    canvas = make_canvas()
    canvas.draw([Quad(WHITE, (-2.0, -3.0, 3.0), (4.0, 0.0, 4.0), (0.0, 2.0, 0.0),
                      Label.BUILDING)], [])
    seen = canvas.labels == Label.BUILDING
    depth = 1 / canvas.inverse[seen]
    x = canvas.camera.rays()[0][seen] * depth
    assert np.allclose(depth, x + 5.0, atol=1e-2)  # the plane z = x + 5


@pytest.mark.parametrize('order', [1, -1])
def test_the_nearer_wins_in_any_order(order):
    canvas = make_canvas()
    for quad in [upright(4.0, Label.CAR), upright(8.0, Label.TREE, x=-3.0)][::order]:
        canvas.draw([quad], [])
    near = make_canvas()
    near.draw([upright(4.0, Label.CAR)], [])
    assert np.array_equal(canvas.labels == Label.CAR, near.labels == Label.CAR)
    assert (canvas.labels == Label.TREE).any()


def test_behind_the_camera_or_from_the_back_nothing_is_seen():
    canvas = make_canvas()
    back = Quad(WHITE, (1.0, -2.5, 5.0), (-2.0, 0.0, 0.0), (0.0, 2.0, 0.0), Label.CAR)
    canvas.draw([upright(-4.0, Label.CAR), back], [Billboard(WHITE, (0.0, 0.0, -3.0), 1, 1, 2)])
    assert not canvas.image.any() and not canvas.labels.any()


def test_a_wall_that_passes_the_camera_is_cut():
    canvas = make_canvas()
    wall = Quad(WHITE, (2.0, -5.0, 30.0), (0.0, 0.0, -60.0), (0.0, 5.0, 0.0), Label.BUILDING)
    canvas.draw([wall], [])
    seen = canvas.labels == Label.BUILDING
    assert seen[:, -1].all() and not seen[:, :64].any()
    x = canvas.camera.rays()[0][seen] / canvas.inverse[seen]
    assert np.allclose(x, 2.0, atol=1e-2)


@pytest.mark.parametrize('size', [(32, 40000), (9000, 32)])
def test_pictures_of_any_size_are_filled(size):
    canvas = make_canvas(0.0, *size)
    wall = Quad(WHITE, (-4e4, -4e4, 4.0), (8e4, 0.0, 0.0), (0.0, 8e4, 0.0), Label.BUILDING)
    canvas.draw([wall], [])
    assert (canvas.labels == Label.BUILDING).all()


def test_transparent_parts():
    picture = np.full((64, 64, 4), 255, np.uint8)
    picture[:, 32:, 3] = 0
    canvas, filled = make_canvas(), make_canvas()
    canvas.draw([upright(5.0, Label.SIGN, Texture(picture))], [])
    filled.draw([upright(5.0, Label.FENCE, Texture(picture), filled=True)], [])
    assert np.array_equal(canvas.labels == Label.SIGN, canvas.image[..., 0] > 127)
    assert (filled.labels == Label.FENCE).sum() > 1.8 * (canvas.labels == Label.SIGN).sum()


def test_thin_poles_stay_visible():
    canvas = make_canvas()
    canvas.draw([], [Billboard(WHITE, (0.0, 0.0, 40.0), 0.05, 5.0, Label.POLE, min_px=1.3)])
    assert (canvas.labels == Label.POLE).any(1).sum() >= 10


@pytest.mark.parametrize('roll', [-0.06, 0.1])
def test_no_ground_lies_above_a_rolled_horizon(roll):
    drive = Drive(101, 96, 128)
    drive.style = replace(drive.style, roll=roll)
    for time_s in (0.3, 3.1, 7.1):
        frame, rays = drive.frame(time_s), drive.camera(time_s).rays()
        ground = np.isclose(frame.depth, 400, rtol=1e-3) & (frame.labels != Label.SKY)
        assert not (ground & (rays[1] <= 0)).any()


def test_ids_are_those_of_the_label_set():
    ids = [item for item in Label if item != Label.UNLABELED]
    assert len(ids) == LABEL_SET.num_classes
    for item in ids:
        name = LABEL_SET.classes[item].lower().replace('_', '').replace(' ', '')
        assert name.startswith(item.name.lower().replace('_', ''))
    assert Label.UNLABELED == UNLABELED
