# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import math

import cv2
import pytest
import torch
from random_images import clouds, noise

from ubcn_ros.evaluation.scores import ImageScore


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
    assert score.result() == {'psnr': math.inf, 'ssim': pytest.approx(1.0, abs=2e-3)}


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
