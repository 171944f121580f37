# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Misty rain is of many looks, each part as it says, and goes with the frame's size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_images import psnr

from ubcn_ros.training.tensors.lens_drops import (
    LensPictures,
    Placement,
    behind_drops,
    drops_on_lens,
)
from ubcn_ros.training.tensors.misty import Mist, misty

EVEN = np.ones((4, 5))
CLEAR = Mist(airlight=np.array([0.8, 0.85, 0.9]), slope=0.0, at_100_m=0.0, power=1.0, film=0.0,
             bank=0.0, bank_m=20.0, uneven=EVEN, scatter=0.0, shower=EVEN,
             streak_light=np.array([0.9, 0.9, 0.9]), streaks_first=False)
LIGHT = 255 * CLEAR.airlight


@pytest.fixture
def scene(street):
    """The street, (96, 128, 3) float32 on 0..255."""
    return street[0].astype(np.float32)


def in_mist(scene, mist, distance=30.0, streaks=0.0):
    """The scene in mist and streaks of one thickness, at one distance or at one for each pixel."""
    images, distance, streaks = (
        torch.from_numpy(np.broadcast_to(np.float32(values), shape).copy()).permute(2, 0, 1)[None]
        for values, shape in ((scene, scene.shape), (distance, (96, 128, 1)),
                              (streaks, (96, 128, 1))))
    return misty(images, distance, streaks, [mist])[0].permute(1, 2, 0).numpy()


def test_mist_of_the_first_power_is_beer_and_lamberts_law(scene):
    keep = np.exp(-0.3)
    np.testing.assert_allclose(in_mist(scene, replace(CLEAR, at_100_m=0.6), 50),
                               scene * keep + LIGHT * (1 - keep), atol=1e-2)


@pytest.mark.parametrize('power', [0.5, 1.0, 2.0])
def test_other_powers_are_of_the_distance_in_100_m(scene, power):
    keep = np.exp(-0.8 * 0.25 ** power)
    np.testing.assert_allclose(in_mist(scene, replace(CLEAR, at_100_m=0.8, power=power), 25),
                               scene * keep + LIGHT * (1 - keep), atol=1e-2)


def test_a_bank_lies_between_near_and_far(scene):
    mist = replace(CLEAR, film=0.1, bank=0.8)
    kept = [in_mist(scene, mist, metres) - LIGHT for metres in (5, 40, 200)]
    near, far, beyond = (-np.log(each.sum() / (scene - LIGHT).sum()) for each in kept)
    assert near < 0.11 and far > 0.8 and beyond == pytest.approx(0.9, abs=1e-3)


def test_the_light_is_brighter_at_the_top_by_its_slope(scene):
    found = in_mist(scene, replace(CLEAR, film=30.0, slope=0.1))
    for row, factor in ((0, 1.05), (47, 1.0), (95, 0.95)):
        np.testing.assert_allclose(found[row, 7], factor * LIGHT, rtol=2e-3)


def test_mist_and_streaks_are_each_uneven_by_themselves(scene):
    mist = replace(CLEAR, film=0.4, uneven=3 * EVEN, shower=2 * EVEN)
    behind = scene * np.exp(-1.2) + LIGHT * (1 - np.exp(-1.2))
    expected = behind * np.exp(-0.4) + 255 * CLEAR.streak_light * (1 - np.exp(-0.4))
    np.testing.assert_allclose(in_mist(scene, mist, streaks=0.2), expected, atol=0.02)


@pytest.mark.parametrize('scatter', [0.0, 1.0])
def test_clear_air_changes_and_scatters_nothing(scene, scatter):
    np.testing.assert_allclose(in_mist(scene, replace(CLEAR, scatter=scatter)), scene, atol=1e-3)


@pytest.mark.parametrize('first', [True, False])
def test_streaks_are_of_their_light_and_may_lie_behind_mist(scene, first):
    found = in_mist(scene, replace(CLEAR, film=0.5, streaks_first=first), streaks=30)
    keep = np.exp(-0.5) if first else 1
    expected = 255 * CLEAR.streak_light * keep + LIGHT * (1 - keep)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=0.1)


def test_scattering_takes_detail_away(scene):
    detail = [in_mist(scene, replace(CLEAR, film=0.5, scatter=scatter))[64:].std()
              for scatter in (0.0, 1.0)]
    assert detail[1] < 0.8 * detail[0]


def test_mist_is_hardly_darker_than_the_sky():
    for seed in range(30):
        mist = Mist.draw(np.random.default_rng(seed), np.array([0.9, 0.9, 0.9]))
        assert mist.airlight.max() > 0.84 and mist.airlight.min() > 0.55
        assert (0 <= mist.streak_light).all() and (mist.streak_light <= 1).all()


def test_mist_at_dusk_is_no_daylight():
    levels = [Mist.draw(np.random.default_rng(seed), np.full(3, 0.35)).airlight.mean()
              for seed in range(30)]
    assert 0.28 < min(levels) and max(levels) < 0.7 and max(levels) > 0.45


def test_drops_repeat_from_their_seed():
    first, again, other = (drops_on_lens(48, 64, np.random.default_rng(seed), 48)
                           for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again)) and not np.array_equal(first[0], other[0])
    alpha, shift, shade = first
    assert alpha.shape == shade.shape == (48, 64) and shift.shape == (48, 64, 2)
    assert 0 <= alpha.min() and alpha.max() <= 1 and (shade > 0.5).all()
    assert all(part.dtype == np.float32 for part in first)


def test_drops_go_with_the_frame():
    small, large = (np.mean([(drops_on_lens(side, side, np.random.default_rng(s), side)[0] > 0.3)
                             .mean() for s in range(60)]) for side in (64, 128))
    assert 0.02 < small < 0.4 and large == pytest.approx(small, rel=0.3)


def through_drops(image, right=0.0, down=0.0, shade=1.0):
    """An image, (H, W, 3), through one drop over all of it that shows what lies elsewhere."""
    full = torch.ones(1, 1, *image.shape[:2])
    shift = torch.cat((right * full, down * full), 1)
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    return behind_drops(images, full, shift, shade * full)[0].permute(1, 2, 0).numpy()


def test_a_refracting_drop_shows_the_scene_upside_down():
    image = np.zeros((64, 64, 3), np.float32)
    image[:32] = 200
    down = -3 * (torch.arange(64.0)[:, None] + 0.5 - 32)
    seen = through_drops(image, down=down)
    assert seen[24].mean() < 20 and seen[40].mean() > 180
    assert through_drops(image, down=down, shade=0.5)[40].mean() < 110


@pytest.mark.parametrize(('right', 'down'), [(12, 0), (0, 12), (8, -8)])
def test_what_a_drop_shows_lies_to_the_right_and_down(right, down):
    y, x = np.mgrid[:64, :96].astype(np.float32)
    image = np.dstack([2 * x, 2 * y, x + y])
    seen = (through_drops(image, right, down) - image)[24:40, 32:64]
    np.testing.assert_allclose(seen.mean((0, 1)), [2 * right, 2 * down, right + down], atol=0.5)


def test_a_film_of_water_blurs_alone():
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.float32)
    seen = through_drops(image)
    assert seen.std() < 0.3 * image.std() and seen.mean() == pytest.approx(image.mean(), abs=3)


@pytest.mark.parametrize('x, y', [(63, 0), (0, 47), (63, 47), (126, 94)])
def test_mirrored_drops_show_the_scene_mirrored_too(monkeypatch, x, y):
    monkeypatch.setattr('ubcn_ros.training.tensors.lens_drops._PICTURES', 2)
    drops = LensPictures((48, 64), 3, torch.device('cpu'), 0)
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 255
    flips = [axis for axis, moved in ((2, y % 94), (3, x % 126)) if moved]
    plain, moved = (Placement(1, np.array([[1.0, 0, dx], [0, 1.0, dy]]))
                    for dx, dy in ((0, 0), (x, y)))
    found = drops.seen_through(image.flip(flips), [moved])
    expected = drops.seen_through(image, [plain]).flip(flips)
    inside = (..., slice(1, -1), slice(1, -1))  # the outermost pixels lie on the mirror
    torch.testing.assert_close(found[inside], expected[inside], atol=0.05, rtol=0)


def test_looks_span_light_to_very_heavy(samples):
    batch = samples(painted_rain_probability=0, misty_rain_probability=1).batch(range(40))
    figures = [psnr(*images) for images in zip(batch['degraded'].numpy(),
                                               batch['clean'].numpy(), strict=True)]
    assert min(figures) < 13 and max(figures) > 24


def test_streaks_keep_their_share_of_the_frame(samples, street):
    """Those of a frame twice as large are twice as long in its samples."""
    image, labels = (part.repeat(4, 0).repeat(4, 1) for part in street)
    lengths = []
    for side in (96, 192):
        found = samples([(image, labels)], crop=(96, 96), short_sides=(side, side),
                        misty_rain_probability=0.5)
        rng = np.random.default_rng(0)
        layers = [[found.misty_rain.streaks.draw(rng, side, 0.0)] for _ in range(40)]
        thickness = found.misty_rain.streaks.thickness(layers, (96, 96)).numpy()[:, 0]
        spectra = np.abs(np.fft.rfft(thickness - thickness.mean((1, 2), keepdims=True), axis=1))
        power = (spectra ** 2).mean((0, 2))
        lengths.append(1 / ((power * np.arange(len(power))).sum() / power.sum()))
    assert 1.4 < lengths[1] / lengths[0] < 2.8
