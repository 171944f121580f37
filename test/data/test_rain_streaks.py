# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drops are distributed, fall and are drawn as the formulas say."""

from dataclasses import replace

import numpy as np
import pytest

from ubcn_ros.data import rain_streaks
from ubcn_ros.data.drop_sizes import DropSizes
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.rain_streaks import (
    DropField,
    Shell,
    _splat,
    draw_streaks,
    terminal_speed,
)

SIZE = H, W = 150, 200
STILL = RainParameters(100.0, speed_m_s=0.0, turbulence_m_s=0.0, unevenness=0.0, horizon=0.5,
                       aperture_mm=1.0, streak_gain=1.0)


def field_of(position, velocity, diameter=2.0):
    """Return a field of one drop in a box so large that it does not repeat."""
    low, size = np.array([-50, -50, 0], np.float32), np.array([100, 100, 100], np.float32)
    place = (np.array([position], np.float32) - low) / size
    return DropField((Shell(slice(0, 1), low, size),), place, np.array([velocity], np.float32),
                     np.array([diameter], np.float32), np.ones(1, np.float32),
                     np.zeros(1, np.float32))


def draw(field, time_s=0.0, size=SIZE, **changes):
    return draw_streaks(field, replace(STILL, **changes), *size, time_s)


def sample(rate=100.0, **changes):
    parameters = replace(STILL, rate_mm_h=rate, **changes)
    return DropField.sample(np.random.default_rng(0), parameters, *SIZE)


def test_terminal_speed():
    assert terminal_speed(np.array([2.0]))[0] == pytest.approx(9.65 - 10.3 * np.exp(-1.2))


def test_number_and_sizes_follow_marshall_palmer():
    field = sample(width_gain=1e3)
    volume = sum(shell.size.astype(float).prod() for shell in field.shells)
    assert len(field.diameter) == pytest.approx(
        DropSizes(100.0).count_above(1.0) * volume, rel=0.02)
    for edge in (1.5, 2.0, 3.0):
        share = DropSizes(100.0).count_above(edge) / DropSizes(100.0).count_above(1.0)
        assert (field.diameter > edge).mean() == pytest.approx(share, abs=0.01)
    assert 5 < sample(rate=300.0).diameter.max() <= 6


@pytest.mark.parametrize('rate', [5.0, 50.0, 250.0])
def test_as_much_water_falls_as_the_rate_says(rate, monkeypatch):
    monkeypatch.setattr(rain_streaks, 'SMALLEST_DROP_MM', 0.05)
    monkeypatch.setattr(rain_streaks, 'FAR_M', 1.2)
    field = sample(rate, width_gain=1e3)
    volume = sum(shell.size.astype(float).prod() for shell in field.shells)
    litres = 1e-6 * np.pi / 6 * field.diameter ** 3
    fallen = 3600 * (litres * field.velocity[:, 1]).sum() / volume  # mm/hr
    # Marshall and Palmer's distribution was not fitted to the speeds of Atlas et al.
    assert 0.9 * rate < fallen < 1.6 * rate


def test_speeds_spread_by_the_turbulence_about_the_drift():
    for turbulence in (0.0, 0.5):
        field = sample(turbulence_m_s=turbulence, wind_m_s=(2.0, -7.0))
        fall = np.stack(np.broadcast_arrays(2.0, terminal_speed(field.diameter), -7.0), 1)
        off = field.velocity - fall
        np.testing.assert_allclose(off.std(0), turbulence, rtol=0.05, atol=1e-5)
        np.testing.assert_allclose(off.mean(0), 0, atol=0.02)


@pytest.mark.parametrize('rate', [5.0, 40.0])
def test_thinned_to_a_lower_rate_they_follow_it_too(rate):
    field = sample(width_gain=1e3)
    volume = sum(shell.size.astype(float).prod() for shell in field.shells)
    there = np.random.default_rng(1).random(len(field.diameter)) < DropSizes(
        rate).shares_of(DropSizes(100.0), field.diameter)
    for edge in (1.0, 1.5, 2.0):
        assert (field.diameter[there] > edge).sum() == pytest.approx(
            DropSizes(rate).count_above(edge) * volume, rel=0.1)


def test_no_drop_is_sampled_that_is_too_thin_to_see():
    field = sample(width_gain=0.78)
    thinnest = replace(STILL, width_gain=0.78).thinnest_mm_m
    assert thinnest == pytest.approx(0.8, rel=0.01)
    for shell in field.shells:
        smallest = field.diameter[shell.rows]
        assert not len(smallest) or smallest.min() >= thinnest * shell.low[2] - 1e-4
    assert len(field.diameter) < len(sample().diameter)


def test_no_drop_is_left_out_that_can_be_seen():
    thinnest, visible, expected = 0.8, 0, 0.0
    field = sample(rate=200.0, width_gain=STILL.thinnest_mm_m / thinnest)
    for shell in field.shells:
        z = shell.low[2] + shell.size[2] * field.position[shell.rows, 2]
        visible += (field.diameter[shell.rows] > thinnest * z).sum()
        edges = np.linspace(shell.low[2], shell.low[2] + shell.size[2], 101)
        middles = (edges[1:] + edges[:-1]) / 2
        expected += shell.size.astype(float).prod() * np.mean(
            [DropSizes(200.0).count_above(max(1.0, thinnest * each)) for each in middles])
    assert visible == pytest.approx(expected, rel=0.03)


def test_streaks_are_uneven_and_mottled_each_by_itself():
    field = sample(unevenness=0.4)
    assert np.log(field.strength).std() == pytest.approx(0.4, rel=0.05)
    assert np.log(field.strength).mean() == pytest.approx(0, abs=0.02)
    assert abs(np.exp(1j * field.phase).mean()) < 0.05


def test_a_drop_falls_from_frame_to_frame():
    field = field_of((0, -0.5, 2.0), (0, 7.0, 0))
    first, later = draw(field), draw(field, time_s=0.05)
    row = np.arange(H) + 0.5
    rows = [(c.sum(1) * row).sum() / c.sum() for c in (first, later)]
    assert rows[1] - rows[0] == pytest.approx(200 * 7.0 * 0.05 / 2.0, abs=1.5)


def test_a_still_drop_lies_where_it_is_projected():
    cover = draw(field_of((0.2, -0.1, 2.0), (0, 0, 0)), exposure_s=5e-4)
    u, v = (((np.arange(cover.shape[axis]) + 0.5) * cover.sum(1 - axis)).sum() / cover.sum()
            for axis in (1, 0))
    assert (u, v) == pytest.approx((100 + 200 * 0.2 / 2, 75 - 200 * 0.1 / 2), abs=0.02)


@pytest.mark.parametrize(('speed', 'width_gain', 'strength'), [
    (8.0, 1.0, 1.0), (8.0, 2.0, 1.0), (8.0, 1.0, 0.5), (0.0, 1.0, 1.0)])
def test_what_a_streak_covers_is_its_area_times_tau1_over_tau0(speed, width_gain, strength):
    field, covers = field_of((0, 0, 1.0), (0, speed, 0), diameter=2.5), []
    field.strength[:] = strength
    for field.phase[:] in (0, np.pi):  # of its mottles, which cancel out
        covers.append(draw(field, width_gain=width_gain, streak_gain=0.3, aperture_mm=0.0).sum())
    width, length = width_gain * 2.5e-3 * 200 / 1.0, speed * 0.01 * 200 / 1.0
    over_a_pixel = 0.01 * width / (length + width)  # seconds, tau1
    area = width * (length + width)
    assert np.mean(covers) == pytest.approx(
        0.3 * strength * min(over_a_pixel / 0.681e-3, 1) * area, rel=0.01)


def test_streak_has_the_projected_length_and_place():
    cover = draw(field_of((0.2, 0.0, 2.0), (0, 8.0, 0)))
    columns, rows = np.flatnonzero(cover.sum(0)), np.flatnonzero(cover.sum(1) > 0)
    assert abs(columns.mean() + 0.5 - 120) <= 1
    assert rows.min() == pytest.approx(75, abs=1.5)
    assert rows.max() == pytest.approx(75 + 8, abs=1.5)


def test_streaks_of_a_moving_camera_point_at_the_focus_of_expansion():
    cover = draw(field_of((0.6, -0.3, 1.5), (0, 0, -20.0)), exposure_s=0.02)
    v, u = np.nonzero(cover > 0.1 * cover.max())
    slope = np.polyfit(u - 99.5, v - 74.5, 1)
    assert slope[0] == pytest.approx(-0.5, abs=0.08)
    assert abs(slope[1]) < 5


def test_a_longer_streak_is_fainter_at_equal_exposure():
    slow, fast = (draw(field_of((0, 0, 1.0), (0, v, 0))).max() for v in (2.0, 8.0))
    assert fast < 0.6 * slow


def test_a_steep_and_a_flat_streak_weigh_the_same():
    # Principal point in the middle of a pixel, so that both fall alike on the grid.
    steep = draw(field_of((0, 0, 1.0), (0, 9, 0)), size=(151, 151))
    flat = draw(field_of((0, 0, 1.0), (9, 0, 0)), size=(151, 151))
    assert np.allclose(steep, flat.T, atol=1e-5)


def test_softness_widens_and_thins_but_keeps_the_sum():
    field = field_of((0, 0, 0.5), (0, 7, 0), diameter=2.0)
    sharp, soft = draw(field, aperture_mm=0.1), draw(field, aperture_mm=8.0)
    assert (soft > 0).sum() > 1.5 * (sharp > 0).sum() and soft.max() < sharp.max()
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.1)


@pytest.mark.parametrize('width', [0.5, 1.4, 1.45, 2, 2.9, 4, 6, 12, 40])
def test_a_streak_is_as_wide_as_it_is_drawn(width):
    variances = []
    for shift in 1.13 * np.arange(16):  # its place among the cells
        u, v, w, mass = (np.array([x], np.float32) for x in (100 + shift, 0, width, 1))
        row = _splat(u, v, u, v + 400, w, mass, mass, mass, 400, 210)[200]
        places = np.arange(210) - np.average(np.arange(210), weights=row)
        variances.append(np.average(places ** 2, weights=row))
    # as a box of that width; thinner ones are shared between two pixels
    assert np.sqrt(12 * np.mean(variances)) == pytest.approx(max(width, np.sqrt(2)), rel=0.07)


def test_field_stays_full_over_time():
    field = sample(rate=150.0, wind_m_s=(1.0, -10.0))
    sums = [draw(field, time_s=t).sum() for t in (0.0, 0.5, 60.0, 3600.0)]
    assert np.ptp(sums) < 0.2 * np.mean(sums)


def test_no_drops_and_drops_behind_the_camera_draw_nothing():
    assert draw(field_of((0, 0, 0.05), (0, 7, 0))).max() == 0
    assert draw(field_of((0, 0, 0.1), (0, 7, 0))).max() == 0, 'it is too close to the lens'
    assert draw(sample(width_gain=0.03)).max() == 0


def test_a_path_ends_where_the_drop_comes_too_close_to_the_lens():
    near = field_of((0.02, 0.01, 0.2), (0, 0, -10.0))
    until, past = (draw(near, exposure_s=t) for t in (0.008, 0.02))
    assert until.max() > 0
    np.testing.assert_allclose(past, until, rtol=1e-3, atol=1e-5)


def test_a_fast_camera_meets_as_much_rain():
    still, fast = (draw(sample(speed_m_s=speed), exposure_s=0.016).mean() for speed in (0, 50))
    assert fast == pytest.approx(still, rel=0.1)
