# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration is that of torchmetrics, and coverage and accuracy are counted."""

import math

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from ubcn_ros.evaluation.calibration import BINS, THRESHOLDS, CalibrationScore


@pytest.mark.parametrize('scale', [0.3, 1.0, 8.0])
@pytest.mark.parametrize('classes', [2, 11])
def test_the_error_is_that_of_torchmetrics(scale, classes):
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn((5000, classes), generator=generator)
    truth = (logits + torch.randn(logits.shape, generator=generator)).argmax(1)
    probabilities = (scale * logits).softmax(1)
    score = CalibrationScore(torch.device('cpu'))
    for part in (slice(0, 1000), slice(1000, None)):
        sure, found = probabilities[part].max(1)
        score.add(sure, found == truth[part])
    expected = multiclass_calibration_error(probabilities, truth, classes, n_bins=BINS)
    assert score.result()['ece'] == pytest.approx(100 * float(expected), abs=1e-3)


def test_coverage_and_accuracy_by_hand():
    score = CalibrationScore(torch.device('cpu'))
    score.add(torch.tensor([0.2, 0.52, 0.97, 1.0]), torch.tensor([False, True, False, True]))
    result = score.result()
    assert result['accuracy'] == 50.0
    # each has a bin of its own
    assert result['ece'] == pytest.approx(100 * (0.2 + 0.48 + abs(0.97 + 1.0 - 1)) / 4)
    points = {point['min_confidence']: (point['coverage'], point['accuracy'])
              for point in result['coverage']}
    assert points.keys() == {*THRESHOLDS}
    assert points[0.0] == points[0.2] == (100.0, 50.0)
    assert points[0.25] == points[0.5] == (75.0, pytest.approx(200 / 3))
    assert points[0.55] == points[0.95] == (50.0, 50.0) and points[0.99] == (25.0, 100.0)


def test_a_confidence_that_is_never_reached_is_left_out():
    score = CalibrationScore(torch.device('cpu'))
    score.add(torch.tensor([0.31]), torch.tensor([True]))
    assert [point['min_confidence'] for point in score.result()['coverage']] == [
        least for least in THRESHOLDS if least <= 0.3]


def test_without_a_pixel_there_is_no_figure():
    result = CalibrationScore(torch.device('cpu')).result()
    assert math.isnan(result['ece']) and math.isnan(result['accuracy'])
    assert result['coverage'] == []
