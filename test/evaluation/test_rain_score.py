# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of what a model tells of the rain, by hand."""

import math

import pytest
import torch

from ubcn_ros.evaluation.rain_score import RainScore
from ubcn_ros.network.rain_estimate import rain_logs


def told(rate, visibility):
    return rain_logs(torch.tensor([rate]), torch.tensor([-math.log(0.05) / visibility]))


def test_errors_are_medians_relative_to_the_truth():
    score = RainScore()
    for rate, visibility in ((50.0, 500.0), (110.0, 900.0), (400.0, 1000.0)):
        score.add(told(rate, visibility), 100.0, -math.log(0.05) / 1000)
    found = score.result()['rain']
    assert found['rate'] == pytest.approx(110, rel=1e-4)
    assert found['rate_error'] == pytest.approx(50, rel=1e-3)
    assert found['visibility_truth'] == pytest.approx(1000, rel=1e-4)
    assert found['visibility'] == pytest.approx(900, rel=1e-4)
    assert found['visibility_error'] == pytest.approx(10, rel=1e-3)
    assert found['rate_p10'] < 110 < found['rate_p90'] and found['dry'] == 0


def test_dry_frames_have_a_share_and_clear_air():
    score = RainScore()
    for rate in (0.0, 1.9, 2.1, 30.0):
        score.add(told(rate, 10_000.0), 0.0, 0.0)
    found = score.result()['rain']
    assert found['rate_error'] is None and found['dry'] == 50
    assert found['visibility_truth'] == pytest.approx(10_000, rel=1e-4)
    assert found['visibility_error'] == pytest.approx(0, abs=0.1)


def test_nothing_is_told_of_no_image():
    assert RainScore().result() == {}
