# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain as numbers and as what is learnt."""

import math

import pytest
import torch

from ubcn_ros.network.rain_estimate import (
    MAX_RATE,
    MAX_VISIBILITY,
    MIN_VISIBILITY,
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
