# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain over time: frames by themselves, what is the same in neighbours, and what is not."""

import numpy as np
import pytest

from ubcn_ros.data.rain import RainRenderer, add_rain
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.rain_sequence import RainSequence

H, W = 72, 96
DARK = np.full((H, W, 3), 40, np.uint8)
STREET = np.concatenate([np.full((30, W, 3), 225, np.uint8), DARK[30:]])


def changes(rain, times, image=DARK):
    """How much rain changes the image at each time, mean over the pixels."""
    return np.array([np.mean(rain(image, t).astype(float) - image) for t in times])


def alike(a, b):
    return np.corrcoef(a.astype(float).ravel(), b.astype(float).ravel())[0, 1]


def test_a_frame_follows_from_seed_image_and_time_alone():
    times = [0.0, 0.1, 7.3, 0.2, 3600.5, -2.0]
    rain = RainSequence((20, 200), seed=5, duration_s=10)
    frames = [rain(STREET, t) for t in times]
    again = RainSequence((20, 200), seed=5, duration_s=10)
    again(STREET[:40], 0.4)
    for t, frame in sorted(zip(times, frames, strict=True), key=lambda pair: -pair[0]):
        assert np.array_equal(again(STREET, t), frame)
    assert not np.array_equal(RainSequence((20, 200), seed=6, duration_s=10)(STREET, 0), frames[0])


def test_at_time_zero_it_is_the_rain_of_a_single_image():
    rain = RainSequence(120, seed=3, variation=0)
    assert np.array_equal(rain(STREET, 0.0), add_rain(STREET, 120, 3))


def test_images_of_other_sizes_and_distances_have_the_rain_of_theirs():
    rain = RainSequence(120, seed=3, variation=0)
    near = np.full((H, W), 5.0, np.float32)
    for image, depth in ((STREET, None), (STREET[:, :80], None), (STREET, near)):
        assert np.array_equal(rain(image, 0.0, depth), add_rain(image, 120, 3, depth))


def test_drops_are_the_same_for_a_moment_and_others_later():
    still = RainParameters(1, speed_m_s=0.0, veil_strength=0.0, airlight=(1.0,) * 3)
    rain = RainSequence(100, seed=3, parameters=still)
    first = rain(DARK, 4.0)
    assert alike(first, rain(DARK, 4.001)) > 0.6 > 0.3 > abs(alike(first, rain(DARK, 4.1)))


def test_veils_of_neighbours_are_nearly_the_same():
    veil = RainParameters(1, density_gain=0.0)
    rain, times = RainSequence(150, seed=2, parameters=veil), np.arange(60) / 15
    frames = [rain(STREET, t).astype(int) for t in times]
    for before, after in zip(frames, frames[1:], strict=False):
        assert alike(before, after) > 0.9999 and np.abs(after - before).max() <= 1


def test_the_cell_changes_the_rate_slowly_and_within_its_bounds():
    for seed in range(5):
        rain = RainSequence(100, seed=seed)
        rates = np.array([rain.rate(t) for t in np.arange(0, 1200, 0.5)])
        assert np.abs(np.log(rates / 100)).max() <= 0.2 and np.ptp(rates) > 20
        assert np.abs(np.diff(np.log(rates))).max() <= 0.02  # half a second
        assert rates.mean() == pytest.approx(100, rel=0.03)
    assert RainSequence(100, seed=1, variation=0).rate(33) == 100
    assert max(RainSequence(300, seed=1).rate(t) for t in range(100)) <= 300


@pytest.mark.parametrize('speed', [0.0, 12.0])
def test_statistics_of_streaks_do_not_change_with_time(speed):
    streaks = RainParameters(1, speed_m_s=speed, veil_strength=0.0, airlight=(1.0,) * 3)
    rain, steps = RainSequence(200, seed=4, parameters=streaks, variation=0), np.arange(24) / 9
    means = [changes(rain, start + steps).mean() for start in (0, 60, 3600, 1.7e9)]
    assert max(means) < 1.15 * min(means) and min(means) > 1


@pytest.mark.parametrize('rate', [20, 100])
def test_a_lower_rate_of_a_ramp_is_the_rain_of_that_rate(rate):
    def change(renderer, **options):
        return np.mean([renderer(DARK, time_s=t, **options).astype(float) - DARK
                        for t in np.arange(20) / 3])
    p = RainParameters(rate, airlight=(1.0,) * 3)
    heavy = RainParameters(300, airlight=(1.0,) * 3)
    alone = np.mean([change(RainRenderer(p, H, W, seed)) for seed in range(4)])
    thinned = np.mean([change(RainRenderer(heavy, H, W, seed), rate_mm_h=rate)
                       for seed in range(4)])
    assert thinned == pytest.approx(alone, rel=0.05)


def test_a_ramp_begins_and_ends_at_its_rates():
    rain = RainSequence((0, 150), seed=1, duration_s=8, variation=0)
    assert [rain.rate(t) for t in (-1, 0, 4, 8, 9)] == [0, 0, 75, 150, 150]
    assert np.array_equal(rain(STREET, 0), STREET)
    grown = changes(rain, np.arange(1, 9))
    assert grown[4:].min() > grown[:2].max() > 0
    falling = RainSequence((150, 0), seed=1, duration_s=8)
    assert falling.rate(0) > falling.rate(6) > falling.rate(8) == 0


def test_cameras_share_the_cell_but_not_the_drops():
    left, right = (RainSequence(100, seed=1, camera=name) for name in ('/left', '/right'))
    assert left.rate(5) == right.rate(5) and left.parameters == right.parameters
    assert not np.array_equal(left(DARK, 5), right(DARK, 5))
    assert np.array_equal(left(DARK, 5), RainSequence(100, seed=1, camera='/left')(DARK, 5))


@pytest.mark.parametrize('arguments, text', [
    ((-1, 0), 'rate_mm_h is -1'), ((301, 0), 'rate_mm_h is 301'), ((10, -1), 'seed is -1'),
    (((0, 50), 0), 'duration_s is None: a ramp from 0 to 50'), (((0, 400), 0, 5), '400'),
    ((10, 0, None, None, -0.1), 'variation is -0.1'),
    ((10, 0, None, None, float('nan')), 'variation is nan')])
def test_what_is_out_of_range_is_said(arguments, text):
    with pytest.raises(ValueError, match=text):
        RainSequence(*arguments)


@pytest.mark.parametrize('time_s', [float('nan'), float('inf')])
def test_a_time_that_is_none_is_said(time_s):
    with pytest.raises(ValueError, match=f'time_s is {time_s}'):
        RainSequence(50, 1)(DARK, time_s)


def test_a_rate_above_the_renderers_is_refused():
    with pytest.raises(ValueError, match='takes 0..100 mm/hr'):
        RainRenderer(RainParameters(100), H, W, 1)(DARK, rate_mm_h=101)
