# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain repeats from its seed, grows with its rate, moves with time and says what it refuses."""

from dataclasses import fields

import cv2
import numpy as np
import pytest
from random_images import psnr

from ubcn_ros.data.depth_prior import depth_prior
from ubcn_ros.data.rain import RainRenderer, add_rain, drive_parameters, estimate_airlight
from ubcn_ros.data.rain_parameters import RainParameters, sample_rate, veil_extinction

H, W = 120, 160


@pytest.fixture(scope='module')
def image():
    """Bright sky above, dark textured ground below."""
    result = np.random.default_rng(0).integers(30, 90, (H, W, 3), np.uint8)
    result[:48] = 225
    return result


def test_seed_repeats_and_differs(image):
    first = add_rain(image, 120, 7)
    assert np.array_equal(first, add_rain(image, 120, 7))
    assert not np.array_equal(first, add_rain(image, 120, 8))
    assert first.shape == image.shape and first.dtype == np.uint8


def test_rate_zero_is_the_image(image):
    for parameters in (None, RainParameters(100, noise_sigma=5.0)):
        assert np.array_equal(add_rain(image, 0, 1, parameters=parameters), image)


def test_the_input_is_not_written(image):
    copy = image.copy()
    add_rain(image, 300, 1)
    assert np.array_equal(image, copy)


def test_more_rain_hides_more(image):
    means = [np.mean([psnr(add_rain(image, r, s), image) for s in range(6)])
             for r in (5, 50, 150, 300)]
    assert all(a > b + 1 for a, b in zip(means, means[1:], strict=False))


def test_bright_on_dark_ground_faint_on_sky(image):
    change = np.abs(add_rain(image, 200, 1).astype(float) - image)
    assert change[60:].mean() > 4 * change[:40].mean()


def test_veil_alone_is_the_law(image):
    airlight = 0.95, 0.8, 0.7
    p = RainParameters(150, density_gain=0.0, veil_strength=1.0, airlight=airlight)
    depth = np.full((H, W), 80.0, np.float32)
    keep = np.exp(-80 * veil_extinction(150))
    expected = image * keep + 255 * np.array(airlight) * (1 - keep)
    assert np.abs(add_rain(image, 150, 1, depth, p) - expected).max() <= 0.51


def test_drops_have_the_light_around_and_of_the_sky():
    airlight, even = (0.9, 0.8, 0.6), np.full((H, W, 3), (40, 60, 80), np.uint8)
    p = RainParameters(200, veil_strength=0.0, airlight=airlight, ambient=0.7, brightness_gain=0.9)
    renderer = RainRenderer(p, H, W, 3)
    # of an even image the mean around a drop is the image; a share of 1 - exp(-x) is covered
    light = 0.9 * (0.7 * 255 * np.array(airlight) + 0.3 * even)
    cover = 1 - np.exp(-renderer.thickness())[..., None]
    assert cover.max() > 0.3
    assert np.abs(renderer(even) - (even + cover * (light - even))).max() <= 0.51


def test_drops_are_as_bright_as_what_is_around_not_behind_them():
    stripes = np.full((H, W, 3), 50, np.uint8)
    stripes[:, ::2] = 150
    p = RainParameters(200, veil_strength=0.0, ambient=0.0)
    change = RainRenderer(p, H, W, 3)(stripes).astype(int) - stripes
    assert (change * (100 - stripes.astype(int)) >= 0).all() and np.abs(change).max() > 10


def test_the_rate_that_is_asked_for_comes_before_that_of_the_parameters(image):
    found, expected = (add_rain(image, 150, 1, parameters=RainParameters(rate, wind_m_s=(2, 0)))
                       for rate in (10, 150))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize('horizon', [0.25, 0.75])
def test_drops_fill_the_view_wherever_the_horizon_is(horizon):
    p = RainParameters(200, speed_m_s=0.0, horizon=horizon, aperture_mm=0.0)
    thickness = np.mean([RainRenderer(p, H, W, seed).thickness() for seed in range(12)], 0)
    top, bottom = thickness[:H // 5].mean(), thickness[-H // 5:].mean()
    assert 0.6 < top / bottom < 1.6


def test_drops_come_with_the_wind_and_towards_a_moving_camera():
    def velocity(**air):
        field = RainRenderer(RainParameters(100, turbulence_m_s=0.0, **air), H, W, 1)._field
        return field.velocity[:, [0, 2]].mean(0)
    assert velocity(speed_m_s=5.0, wind_m_s=(2.0, 1.5)) == pytest.approx([2, -3.5])
    # a camera that rolls sees a drop of 2 mm, 6.5 m/s fast, fall aslant
    slant = 6.5 * np.tan(np.deg2rad(8))
    assert velocity(speed_m_s=0.0, roll_deg=8.0) == pytest.approx([slant, 0], abs=1e-5)


def test_extinction_is_that_of_the_veil():
    p = RainParameters(150, veil_strength=0.5)
    assert p.extinction == pytest.approx(0.5 * veil_extinction(150))


def test_the_thinnest_streak_drawn_is_as_wide_as_it_says():
    p = RainParameters(100, focal=1.25, width_gain=0.5)
    at_3_m = p.thinnest_mm_m * 3
    assert at_3_m * 1e-3 * 0.5 * (1.25 * 480) / 3 == pytest.approx(0.3)


@pytest.mark.parametrize('rate, per_km', [(50, 4.29), (150, 8.96), (250, 12.61)])
def test_extinction(rate, per_km):
    assert veil_extinction(rate) * 1000 == pytest.approx(per_km, abs=0.01)


def test_without_depth_the_veil_is_that_of_the_prior_of_its_camera(image):
    p = RainParameters(150, density_gain=0.0, horizon=0.65, focal=1.3)
    renderer = RainRenderer(p, H, W, 1)
    assert np.array_equal(renderer(image),
                          renderer(image, depth_prior(H, W, horizon=0.65, focal=1.3)))


def test_unknown_depth_is_far(image):
    p = RainParameters(100, density_gain=0.0, airlight=(1.0, 1.0, 1.0))
    depth = np.full((H, W), 10.0, np.float32)
    depth[:2, 0] = np.nan, 0
    rainy = add_rain(image, 100, 1, depth, p)
    assert (rainy[:2, 0] >= 245).all()


def test_video_is_coherent_and_calls_are_independent(image):
    dark = np.full_like(image, 40)
    p = RainParameters(100, speed_m_s=0.0, veil_strength=0.0, turbulence_m_s=0.0,
                                airlight=(1.0, 1.0, 1.0))
    renderer = RainRenderer(p, H, W, seed=3)
    first, near, far = (renderer(dark, time_s=t).astype(float) for t in (0.0, 0.001, 0.5))

    def alike(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]
    assert alike(first, near) > 0.6 > 0.3 > alike(first, far)
    assert np.array_equal(renderer(dark, time_s=0.0), first)
    assert np.array_equal(RainRenderer(p, H, W, seed=3)(dark, time_s=0.5), far)


def test_it_rains_as_hard_before_any_camera():
    p = RainParameters(100, veil_strength=0, airlight=(1, 1, 1))
    seen = []
    for scale in (1, 2, 5):
        rainy = add_rain(np.zeros((90 * scale, 120 * scale, 3), np.uint8), 100, 7, parameters=p)
        seen.append(cv2.resize(rainy, (40, 30), interpolation=cv2.INTER_AREA).astype(float))
    for larger in seen[1:]:
        assert larger.mean() == pytest.approx(seen[0].mean(), rel=0.05)
        assert np.corrcoef(larger.ravel(), seen[0].ravel())[0, 1] > 0.9, 'the same streaks'


@pytest.mark.parametrize('size', [(1, 1), (7, 300), (33, 65), (360, 480)])
def test_any_size(size):
    image = np.full((*size, 3), 60, np.uint8)
    assert add_rain(image, 300, 1).shape == image.shape


def test_noise_is_of_the_given_spread():
    grey = np.full((H, W, 3), 128, np.uint8)
    p = RainParameters(1, density_gain=0.0, veil_strength=0.0, noise_sigma=6.0)
    assert add_rain(grey, 1, 1, parameters=p).astype(float).std() == pytest.approx(6, abs=0.2)


def test_noise_is_another_of_every_seed_frame_and_colour():
    grey = np.full((H, W, 3), 128, np.uint8)
    p = RainParameters(1, density_gain=0.0, veil_strength=0.0, noise_sigma=6.0)
    planes = [plane.ravel() for seed in (1, 2) for time_s in (0.0, 0.04)
              for plane in RainRenderer(p, H, W, seed)(grey, time_s=time_s).transpose(2, 0, 1)]
    assert np.abs(np.corrcoef(planes) - np.eye(12)).max() < 0.05


def test_physical_draws_vary_only_the_drive():
    drive = {'speed_m_s', 'wind_m_s', 'exposure_s'}
    default = RainParameters(100)
    for seed in range(20):
        drawn = RainParameters.random(np.random.default_rng(seed), 100, physical=True)
        changed = {f.name for f in fields(drawn)
                   if getattr(drawn, f.name) != getattr(default, f.name)}
        assert changed <= drive
        assert 0 <= drawn.speed_m_s <= 12 and 0.006 <= drawn.exposure_s <= 0.016


def test_a_seed_is_a_drive():
    first, again, other = (drive_parameters(seed, 100) for seed in (1, 1, 2))
    assert first == again and first.speed_m_s != other.speed_m_s


def test_other_draws_spread_the_look(image):
    def spread(physical):
        scores = []
        for seed in range(16):
            p = RainParameters.random(np.random.default_rng(seed), 150, physical)
            scores.append(psnr(add_rain(image, 150, seed, parameters=p), image))
        return np.std(scores)
    assert spread(physical=False) > 1.5 * spread(physical=True)


def test_every_random_draw_renders():
    image = np.full((24, 32, 3), 60, np.uint8)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rate = sample_rate(rng)
        rainy = add_rain(image, rate, seed, parameters=RainParameters.random(rng, rate))
        assert rainy.shape == image.shape


def test_rates_for_training_span_the_range():
    rng = np.random.default_rng(0)
    rates = np.array([sample_rate(rng) for _ in range(4000)])
    assert rates.min() == 0 and 290 < rates.max() <= 300
    assert 0.05 < (rates == 0).mean() < 0.11
    # half of those that are not dry evenly spread, half evenly over the logarithms from 5 on
    assert (rates > 150).mean() == pytest.approx(
        0.46 * (1 / 2 + np.log(2) / np.log(300 / 5)), abs=0.02)
    assert ((rates > 0) & (rates < 50)).mean() > 0.2


def test_airlight_is_the_grey_of_the_sky(image):
    assert np.allclose(estimate_airlight(image), 225 / 255, atol=0.01)


def test_airlight_of_a_tinted_sky_is_half_as_tinted():
    image = np.full((40, 40, 3), (10, 20, 30), np.uint8)
    image[:20] = 150, 200, 250
    assert np.allclose(estimate_airlight(image), np.array([175, 200, 225]) / 255, atol=1e-3)


@pytest.mark.parametrize('changes, word', [
    ({'rate_mm_h': -1}, '-1'), ({'rate_mm_h': 301.5}, '301.5'),
    ({'rate_mm_h': float('nan')}, 'nan'), ({'exposure_s': 0.5}, '0.5'),
    ({'ambient': 1.2}, '1.2'), ({'focal': 0.0}, 'focal is 0'),
    ({'streak_gain': -0.1}, 'streak_gain is -0.1'),
])
def test_parameters_out_of_range_are_named(changes, word):
    with pytest.raises(ValueError, match=word):
        RainParameters(**({'rate_mm_h': 10} | changes))


def test_errors_of_the_renderer(image):
    with pytest.raises(ValueError, match='350'):
        add_rain(image, 350, 1)
    renderer = RainRenderer(RainParameters(10), H, W, 0)
    with pytest.raises(ValueError, match=r'\(5, 6, 3\)'):
        renderer(np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=r'\(2, 2\)'):
        renderer(image, np.ones((2, 2)))


def test_thickness_goes_with_the_gain_and_time():
    half, whole = (RainRenderer(RainParameters(150, streak_gain=gain), H, W, 3)
                   for gain in (0.2, 0.4))
    assert half.thickness().shape == (H, W) and half.thickness().min() >= 0
    np.testing.assert_allclose(2 * half.thickness(), whole.thickness(), rtol=1e-4, atol=1e-6)
    assert not np.array_equal(half.thickness(), half.thickness(0.1))
    assert RainRenderer(RainParameters(0), H, W, 3).thickness() is None
