# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The street is the same however it is visited, and what moves, moves at its own pace."""

import gc
import weakref

import numpy as np
import pytest

from ubcn_ros.data.drive.ground import CELL_M, CHUNK_M, HALF_WIDTH_M
from ubcn_ros.data.drive.render import Label
from ubcn_ros.data.drive.style import draw_style
from ubcn_ros.data.drive.traffic import Traffic
from ubcn_ros.data.drive.world import World


@pytest.fixture(scope='module')
def world():
    return World(4, draw_style(4))


def test_a_street_does_not_wait_for_the_garbage_collector():
    gc.disable()
    try:
        street = World(4, draw_style(4))
        street.chunk(3)
        street.ground_map(3)
        gone = weakref.ref(street)
        del street
        assert gone() is None
    finally:
        gc.enable()


def feet(billboards):
    return sorted(b.foot for b in billboards)


def test_chunks_do_not_depend_on_the_order_of_visits(world):
    other = World(4, draw_style(4))
    for k in (5, 3, -2):
        other.chunk(k)
    for k in (-2, 3, 5):
        a, b = world.chunk(k), other.chunk(k)
        assert feet(a.billboards) == feet(b.billboards)
        assert [q.corner for q in a.quads] == [q.corner for q in b.quads]


def test_styles_spread_wide():
    styles = [draw_style(seed) for seed in range(60)]
    assert {s.left_hand for s in styles} == {True, False}
    widths = [s.half_road for s in styles]
    assert max(widths) > 1.8 * min(widths)


def test_slope_is_the_derivative_of_the_centre_line(world):
    style = world.style
    for z in (-30.0, 10.0, 400.0):
        numeric = (style.center(z + 0.01) - style.center(z - 0.01)) / 0.02
        assert style.slope(z) == pytest.approx(numeric, abs=1e-5)


def test_ground_map_has_the_road_in_the_middle(world):
    style = world.style
    ground = world.ground_map(2)
    across = (np.arange(ground.columns) + 0.5) * CELL_M - HALF_WIDTH_M
    assert (ground.labels[:, np.abs(across) < style.half_road - 0.1] == Label.ROAD).all()
    away = ground.labels[ground.rows - 20:, np.abs(across) > style.half_road + 0.2]
    assert not (away == Label.ROAD).any()
    assert set(np.unique(ground.labels)) <= {Label.ROAD, Label.SIDEWALK, Label.TREE}
    for (color, labels), (rows, columns) in zip(
            ground.levels, ((960, 1024), (120, 512), (30, 256)), strict=True):
        assert color.shape[:2] == labels.shape == (rows, columns)


def test_nothing_stands_in_our_lane(world):
    style = world.style
    lane = style.our_side * style.lane / 2
    for k in range(6):
        for item in world.chunk(k).billboards:
            x, _, z = item.foot
            if item.label in (Label.POLE, Label.PEDESTRIAN, Label.TREE) and item.height > 0.5:
                assert abs(x - style.center(z) - lane) > style.lane / 2
        start = k * CHUNK_M
        assert all(start - 1 < q.corner[2] < start + CHUNK_M + 8 for q in world.chunk(k).quads)


def test_traffic_is_a_continuous_function_of_time(world):
    traffic = Traffic(world)

    def cars(time_s):
        quads, billboards, shadows = [], [], []
        traffic.add(time_s, 100.0, quads, billboards, shadows)
        return [s.corner for s in shadows], feet(billboards)

    before, again, after = cars(5.0), cars(5.0), cars(5.05)
    assert before == again
    assert before[0] and before[1]
    moved = [min(np.hypot(a[0] - b[0], a[2] - b[2]) for b in after[0]) for a in before[0]]
    assert np.median(moved) < 1.0
    assert max(moved) > 0.0
