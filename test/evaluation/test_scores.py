# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures are of rounded images, those of torchmetrics, or counted by hand."""

import math

import cv2
import numpy as np
import pytest
import torch
from random_images import clouds, noise
from torchmetrics.functional.classification import multiclass_calibration_error

from ubcn_ros.evaluation.scores import (
    BINS,
    THRESHOLDS,
    CalibrationScore,
    ImageScore,
    RainScore,
)
from ubcn_ros.network.rain_estimate import rain_logs
from ubcn_ros.runtime.confidence import leave_unlabeled


def test_image_score_is_of_the_rounded_image_and_the_mean_over_images():
    clean = torch.full((1, 3, 32, 32), 100 / 255)
    score = ImageScore()
    score.add(clean + 10.4 / 255, clean)
    score.add(clean + 20.3 / 255, clean)
    expected = (20 * math.log10(255 / 10) + 20 * math.log10(255 / 20)) / 2
    assert score.result()['psnr'] == pytest.approx(expected, abs=1e-3)


def test_image_score_clamps_as_users_get_it():
    clean = torch.ones(1, 3, 32, 32)
    score = ImageScore()
    score.add(clean + 3, clean)
    # flat white is where SSIM in single precision is least exact
    assert score.result() == {'psnr': math.inf, 'ssim': pytest.approx(1.0, abs=2e-3), 'equal': 1}


def test_equal_images_are_counted_and_not_averaged():
    clean = torch.full((1, 3, 32, 32), 100 / 255)
    score = ImageScore()
    for difference in (0, 10, 0):
        score.add(clean + difference / 255, clean)
    assert score.result()['psnr'] == pytest.approx(20 * math.log10(255 / 10), abs=1e-3)
    assert score.result()['equal'] == 2


def test_ssim_falls_with_noise():
    clean = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = []
    for strength in (0, 0.05, 0.2):
        score = ImageScore()
        score.add(clean + strength * noise, clean)
        found.append(score.result()['ssim'])
    assert found[0] == pytest.approx(1.0)
    assert found[0] > found[1] > found[2]


def test_ssim_is_that_of_wang_et_al():
    """Windows of 11x11, gaussian, sigma 1.5; k1 0.01, k2 0.03 (IEEE TIP 2004); edges mirrored."""
    clean, image = clouds(1), noise(2, 48, 64) // 4 + clouds(1) // 2
    x, y = (each.astype(float) for each in (clean, image))

    def mean(values):
        return cv2.GaussianBlur(values, (11, 11), 1.5)
    mx, my, c1, c2 = mean(x), mean(y), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    ssim = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    score = ImageScore()
    score.add(*(torch.from_numpy(each).permute(2, 0, 1)[None] / 255 for each in (image, clean)))
    assert 0.2 < ssim.mean() < 0.8
    assert score.result()['ssim'] == pytest.approx(ssim.mean(), abs=1e-3)


@pytest.mark.gpu
def test_figures_on_a_gpu_are_those_on_a_cpu():
    """TF32 would take the variances of SSIM, small differences of large numbers, with it."""
    noise = torch.randn(2, 1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    clean, image = 0.6 + 0.01 * noise[0], 0.6 + 0.01 * noise[0] + 0.005 * noise[1]
    found = []
    for device in ('cpu', 'cuda'):
        score = ImageScore()
        score.add(*(each.to(device, memory_format=torch.channels_last)
                    for each in (image, clean)))
        found.append(score.result())
    assert found[1] == pytest.approx(found[0], rel=1e-3)


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


def test_coverage_is_what_the_engine_leaves():
    """Of 0.5505, 140 steps of 1/255, no label is kept at 0.55, which is 141."""
    sure = torch.cat((torch.rand(2000, generator=torch.Generator().manual_seed(0)),
                      torch.tensor(THRESHOLDS), torch.tensor([0.5505] * 200)))
    score = CalibrationScore(torch.device('cpu'))
    score.add(sure, sure > 0.5)
    steps = sure.mul(255).round().byte().numpy()[None]
    for point in score.result()['coverage']:
        left = leave_unlabeled(np.zeros_like(steps), steps, point['min_confidence'])
        assert point['coverage'] == pytest.approx(100 * (1 - left)), point


def test_a_confidence_that_is_never_reached_is_left_out():
    score = CalibrationScore(torch.device('cpu'))
    score.add(torch.tensor([0.31]), torch.tensor([True]))
    assert [point['min_confidence'] for point in score.result()['coverage']] == [
        least for least in THRESHOLDS if least <= 0.3]


def test_without_a_pixel_there_is_no_figure():
    result = CalibrationScore(torch.device('cpu')).result()
    assert math.isnan(result['ece']) and math.isnan(result['accuracy'])
    assert result['coverage'] == []


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
