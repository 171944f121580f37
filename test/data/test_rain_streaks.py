# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drops are distributed, fall and are drawn as the formulas say."""

from dataclasses import replace

import numpy as np
import pytest

from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.rain_streaks import (
    DropField,
    Shell,
    draw_streaks,
    drops_per_cubic_metre,
    share_of_drops,
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
        drops_per_cubic_metre(100.0, 1.0) * volume, rel=0.02)
    for edge in (1.5, 2.0, 3.0):
        share = drops_per_cubic_metre(100.0, edge) / drops_per_cubic_metre(100.0, 1.0)
        assert (field.diameter > edge).mean() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize('rate', [5.0, 40.0])
def test_thinned_to_a_lower_rate_they_follow_it_too(rate):
    field = sample(width_gain=1e3)
    volume = sum(shell.size.astype(float).prod() for shell in field.shells)
    there = np.random.default_rng(1).random(len(field.diameter)) < share_of_drops(
        field.diameter, rate, 100.0)
    for edge in (1.0, 1.5, 2.0):
        assert (field.diameter[there] > edge).sum() == pytest.approx(
            drops_per_cubic_metre(rate, edge) * volume, rel=0.1)


def test_no_drop_is_sampled_that_is_too_thin_to_see():
    field = sample(width_gain=0.78)
    thinnest = replace(STILL, width_gain=0.78).thinnest_mm_m
    assert thinnest == pytest.approx(0.8, rel=0.01)
    for shell in field.shells:
        smallest = field.diameter[shell.rows]
        assert not len(smallest) or smallest.min() >= thinnest * shell.low[2] - 1e-4
    assert len(field.diameter) < len(sample().diameter)


def test_a_drop_falls_from_frame_to_frame():
    field = field_of((0, -0.5, 2.0), (0, 7.0, 0))
    first, later = draw(field), draw(field, time_s=0.05)
    row = np.arange(H) + 0.5
    rows = [(c.sum(1) * row).sum() / c.sum() for c in (first, later)]
    assert rows[1] - rows[0] == pytest.approx(200 * 7.0 * 0.05 / 2.0, abs=1.5)


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


def test_field_stays_full_over_time():
    field = sample(rate=150.0, wind_m_s=(1.0, -10.0))
    sums = [draw(field, time_s=t).sum() for t in (0.0, 0.5, 60.0, 3600.0)]
    assert np.ptp(sums) < 0.2 * np.mean(sums)


def test_no_drops_and_drops_behind_the_camera_draw_nothing():
    assert draw(field_of((0, 0, 0.05), (0, 7, 0))).max() == 0
    assert draw(sample(width_gain=0.03)).max() == 0
