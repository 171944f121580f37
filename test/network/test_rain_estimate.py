# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain as numbers and as what is learnt."""

import math

import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.network.rain_estimate import (
    _ROWS,
    MAX_RATE,
    MAX_VISIBILITY,
    MIN_VISIBILITY,
    Autocorrelation,
    RainHead,
    rain_logs,
    rain_of,
)


def test_there_and_back():
    rate = torch.tensor([0.0, 1.0, 25.0, 250.0])
    extinction = torch.tensor([0.0005, 0.001, 0.01, 0.1])
    found = rain_of(rain_logs(rate, extinction))
    torch.testing.assert_close(found.rate, rate)
    torch.testing.assert_close(found.visibility, -math.log(0.05) / extinction)


def test_visibility_is_where_a_twentieth_of_the_light_is_left():
    extinction = torch.tensor([0.003, 0.02])
    visibility = rain_of(rain_logs(torch.zeros(2), extinction)).visibility
    torch.testing.assert_close(torch.exp(-extinction * visibility), torch.full((2,), 0.05))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_estimates_stay_in_their_ranges(dtype):
    logs = torch.tensor([[-5, -50], [50, 50], [3, -5]], dtype=dtype)
    found = rain_of(logs)
    assert found.rate[0] == 0 and found.rate[1] == MAX_RATE
    assert found.visibility[0] == MAX_VISIBILITY and found.visibility[1] == MIN_VISIBILITY
    assert 0 < found.rate[2] < MAX_RATE and found.rate.dtype == torch.float32


def test_clear_air_counts_as_the_farthest_visibility_and_unknown_stays_unknown():
    logs = rain_logs(torch.tensor([0.0, float('nan'), 9e9]),
                     torch.tensor([0.0, float('nan'), 9.0]))
    assert rain_of(logs[:1]).visibility == pytest.approx(MAX_VISIBILITY)
    assert logs[1].isnan().all()
    assert rain_of(logs[2:]).rate == pytest.approx(MAX_RATE)
    assert rain_of(logs[2:]).visibility == pytest.approx(MIN_VISIBILITY)


@pytest.fixture
def head(monkeypatch):
    """Make one of one part, with values to work with."""
    monkeypatch.setattr('ubcn_ros.network.rain_estimate.GRID', (96, 128))
    torch.manual_seed(0)
    made = RainHead(8).eval()
    torch.nn.init.normal_(made.layers[-1].weight, std=0.1)
    return made


def streaks(count, height=96, width=128, seed=0):
    """Return an image (1, 3, H, W) of dark ground and that many bright vertical streaks on it."""
    image = torch.full((1, 3, height, width), 0.3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(count):
        top = int(torch.randint(height - 9, (), generator=draw))
        image[..., top:top + 9, int(torch.randint(width, (), generator=draw))] += 0.2
    return image


def test_the_head_starts_with_moderate_rain():
    found = rain_of(RainHead().eval()(torch.rand(2, 3, 40, 56), torch.rand(2, 3, 40, 56)))
    assert found.rate[0] == found.rate[1] and 15 < found.rate[0] < 25
    assert found.visibility[0] == found.visibility[1] and 400 < found.visibility[0] < 500


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (120, 60), (400, 530)])
def test_the_head_takes_any_size(head, size):
    lifted, derained = torch.rand(2, 2, 3, *size)
    assert head(lifted, derained).shape == (2, 2)
    torch.testing.assert_close(head(lifted, derained)[:1], head(lifted[:1], derained[:1]))


def test_only_what_was_taken_away_counts_as_rain(head):
    ground, even = torch.full((2, 1, 1, 96, 128), 0.3)
    few, many, none = (head.measure(ground, streaks(n)[:, :1] - ground) for n in (3, 60, 0))
    amount = slice(0, 3)  # of opacity, its square, and of what changes along a part
    assert (none[:, amount] < few[:, amount]).all() and (few < many)[:, amount].all()
    # what is as wide as the veil is not a streak
    torch.testing.assert_close(head.measure(ground, even), none, atol=1e-3, rtol=0)


def test_long_and_wide_streaks_are_told_from_many(head):
    def shape(height, width, count):
        image = torch.zeros(1, 1, 96, 128)
        for i in range(count):
            top, left = 7 * i % (96 - height), 29 * i % (128 - width)
            image[..., top:top + height, left:left + width] = 0.2
        return head.measure(torch.full((1, 1, 96, 128), 0.3), image)[0, 3:]

    rows = len(_ROWS)
    for first, second, larger in (((6, 1, 12), (24, 1, 3), slice(3, 6)),
                                  ((12, 1, 12), (12, 3, 4), slice(2 * rows, 2 * rows + 2))):
        assert (shape(*first)[larger] < shape(*second)[larger] - 0.2).all()
    assert (shape(12, 1, 4) - shape(12, 1, 8)).abs().mean() < 0.1


@pytest.mark.parametrize('count', [1, 3])
def test_correlations_are_those_of_shifted_images(count):
    image = torch.rand(count, 1, 12, 24, generator=torch.Generator().manual_seed(0))
    own, along, across = Autocorrelation((6, 8), (1, 3), (2,), 0.5)(image)
    parts = image.view(count, 2, 6, 3, 8).transpose(2, 3).reshape(count, 6, 6, 8)
    parts = parts - parts.mean((2, 3), keepdim=True)

    def shifted(row, column):
        return (parts * parts.roll((row, column), (2, 3))).mean((2, 3))

    torch.testing.assert_close(own, shifted(0, 0))
    torch.testing.assert_close(across, shifted(0, 2)[..., None])
    for i, (row, reach) in enumerate(((1, 1), (3, 2))):
        best = torch.stack([shifted(row, c) for c in range(-reach, reach + 1)]).amax(0)
        torch.testing.assert_close(along[..., i], best)


def test_dusk_and_day_are_told_the_same(head):
    day = torch.full((1, 1, 96, 128), 0.2)
    day[..., :32, :] = 0.9
    light = (streaks(40)[:, :1] - 0.3) * (0.9 - day)  # none before the sky itself
    torch.testing.assert_close(head.measure(day * 0.6, light * 0.6), head.measure(day, light),
                               atol=0.1, rtol=0)


def test_a_larger_camera_is_told_the_same(head):
    lifted = F.interpolate(streaks(40), (720, 960), mode='bilinear')
    derained = torch.full_like(lifted, 0.3)
    small = [F.interpolate(x, (360, 480), mode='bilinear', antialias=True)
             for x in (lifted, derained)]
    torch.testing.assert_close(head(*small), head(lifted, derained), atol=0.05, rtol=0)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_the_head_stays_in_fp32(head, dtype):
    image = streaks(20)
    expected = head(image, torch.full_like(image, 0.3))
    found = head.to(dtype)(image.to(dtype), torch.full_like(image, 0.3).to(dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def test_the_head_stays_in_fp32_where_a_training_is_in_mixed_precision(head):
    images = torch.rand(2, 3, 48, 64), torch.rand(2, 3, 48, 64)
    with torch.autocast('cpu', torch.bfloat16):
        told = head(*images)
    assert torch.equal(told, head(*images))


def test_how_many_streaks_there_are_is_soon_learnt(monkeypatch):
    monkeypatch.setattr('ubcn_ros.network.rain_estimate.GRID', (96, 128))
    torch.manual_seed(0)
    head, errors = RainHead(8), []
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for step in range(60):
        counts = torch.randint(0, 80, (16,))
        images = torch.cat([streaks(int(n), seed=100 * step + i) for i, n in enumerate(counts)])
        told = head(images, torch.full_like(images, 0.3))[:, 0]
        loss = (told - counts.float().log1p()).abs().mean()
        errors.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(errors[-10:]) / 10 < 0.3, 'of targets that are 0.7 from their mean'
