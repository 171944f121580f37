# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked out by hand."""

from math import log

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.scenes import Group, Scene, SceneList
from ubcn_ros.network.rain_estimate import rain_logs
from ubcn_ros.training.losses import (
    adversarial_loss,
    block_means,
    class_weights,
    coarse_part,
    derain_loss,
    discriminator_loss,
    group_members,
    lovasz_loss,
    near_boundary,
    psnr_loss,
    rain_loss,
    segmentation_loss,
)


def test_derain_loss_of_constant_images():
    # no variance: SSIM is its luminance term, (2 a b + c1) / (a^2 + b^2 + c1), c1 = 0.01^2
    a, b, c1 = 0.5, 0.3, 1e-4
    ssim = (2 * a * b + c1) / (a * a + b * b + c1)
    loss = derain_loss(torch.full((1, 3, 16, 16), a), torch.full((1, 3, 16, 16), b))
    assert float(loss) == pytest.approx(0.2 + 0.2 * (1 - ssim), abs=5e-5)


def test_derain_loss_is_zero_only_for_the_same_image():
    image = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert float(derain_loss(image, image)) == pytest.approx(0, abs=1e-5)
    assert float(derain_loss(image + 0.01, image)) > 0.009


def test_derain_loss_keeps_its_precision_under_autocast():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.4
    other = image + 0.003 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    with torch.autocast('cpu', torch.bfloat16):
        cast = derain_loss(other, image)
    assert float(cast) == pytest.approx(float(derain_loss(other, image)), rel=1e-6)


@pytest.mark.gpu
def test_derain_loss_is_as_precise_on_a_gpu():
    image = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.4
    other = image + 0.003 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    there = [each.to('cuda', memory_format=torch.channels_last) for each in (other, image)]
    with torch.autocast('cuda', torch.bfloat16):
        cast = derain_loss(*there)
    assert float(cast) == pytest.approx(float(derain_loss(other, image)), rel=1e-3)


def test_block_means_do_not_see_streaks():
    clean = torch.full((1, 3, 16, 24), 0.5)
    streaks = clean + 0.2 * torch.tensor([1.0, -1.0]).repeat(12)
    assert torch.allclose(block_means(streaks), block_means(clean))
    clean[..., :8] += 0.3
    assert torch.allclose(block_means(clean)[0, 0], torch.tensor([[0.8, 0.5, 0.5]] * 2))


def test_psnr_loss_is_the_mean_of_the_images_decibels():
    clean = torch.full((2, 3, 16, 16), 0.5)
    image = clean + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)  # 20 and 40 dB
    capped = -10 * log(1e-4 + 1e-5) / log(10)
    assert float(psnr_loss(image, clean, 50)) == pytest.approx(-(20 + capped) / 2, abs=0.01)
    assert float(psnr_loss(clean, clean, 50)) == pytest.approx(-50, abs=1e-3)
    assert float(psnr_loss(clean, clean, 30)) == pytest.approx(-30, abs=1e-3)


def test_the_coarse_part_is_the_veil_without_streaks():
    veil = torch.linspace(0, 0.3, 96).expand(1, 3, 80, 96)  # 80: the last means are of 16 rows
    streaks = 0.2 * torch.tensor([1.0, -1.0]).repeat(48)
    assert torch.allclose(coarse_part(veil + streaks), coarse_part(veil), atol=1e-6)
    wide = 0.2 * torch.tensor([1.0, -1.0]).repeat_interleave(16).repeat(3)
    assert torch.allclose(coarse_part(veil + wide), coarse_part(veil), atol=1e-6)
    inner = (coarse_part(veil) - veil)[..., 16:-16]
    assert inner.abs().max() < 1e-6, 'linear between the middles of the outermost means'
    assert coarse_part(veil[..., :20, :24]).shape == (1, 3, 20, 24)


def test_segmentation_loss_counts_labeled_pixels_only():
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1, 0, 0] = log(3)  # probability 3/4 of class 1
    logits[0, 0, 0, 2] = 50  # would cost much, but is unlabeled
    labels = torch.tensor([[[1, 0, 255]]], dtype=torch.uint8)
    expected = (-log(3 / 4) - log(1 / 2)) / 2
    assert float(segmentation_loss(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_segmentation_loss_with_weights_is_the_weighted_mean():
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 1, 0, 0] = log(3)
    labels = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    weights = torch.tensor([0.1, 0.3])
    expected = (-0.3 * log(3 / 4) - 0.1 * log(1 / 2)) / 0.4
    assert float(segmentation_loss(logits, labels, weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('weights', [None, torch.ones(2)])
def test_segmentation_loss_without_labels_is_zero_with_gradient(weights):
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 8, 8), 255, dtype=torch.uint8), weights)
    loss.backward()
    assert loss.item() == 0 and float(logits.grad.abs().sum()) == 0


def test_segmentation_loss_with_weights_of_pixels_is_the_weighted_mean():
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1, 0, 0] = log(3)
    labels = torch.tensor([[[1, 0, 255]]], dtype=torch.uint8)
    pixels = torch.tensor([[[3.0, 1.0, 9.0]]])
    expected = (-3 * log(3 / 4) - log(1 / 2)) / 4
    for groups in (None, torch.ones(1, 2, dtype=torch.bool)):
        found = segmentation_loss(logits, labels, None, groups, pixels)
        assert float(found) == pytest.approx(expected, rel=1e-5)
    weights = torch.tensor([0.1, 0.3])
    expected = (-0.9 * log(3 / 4) - 0.1 * log(1 / 2)) / 1.0
    found = segmentation_loss(logits, labels, weights, None, pixels)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    one = torch.ones(1, 1, 3)
    assert float(segmentation_loss(logits, labels, weights, None, one)) == pytest.approx(
        float(segmentation_loss(logits, labels, weights)), rel=1e-6)


def test_pixels_near_to_another_class():
    labels = torch.zeros(1, 12, 20, dtype=torch.uint8)
    labels[:, :, 10:] = 4
    labels[:, 9:] = 255
    near = near_boundary(labels)[0]
    expected = torch.zeros(12, 20, dtype=torch.bool)
    expected[:9, 8:12] = True
    assert torch.equal(near, expected)


def test_all_of_a_pole_is_near_and_nothing_of_an_unlabeled_image():
    labels = torch.zeros(1, 30, 30, dtype=torch.uint8)
    labels[:, 5:25, 14:17] = 2
    assert near_boundary(labels)[labels == 2].all()
    assert near_boundary(labels)[labels == 0].float().mean() < 0.2
    assert not near_boundary(torch.full_like(labels, 255)).any()


def test_rain_loss_counts_what_is_known():
    estimate = torch.tensor([[log(101.0), log(0.01)], [log(151.0), log(0.004)]],
                            requires_grad=True)
    rate, extinction = torch.tensor([100.0, float('nan')]), torch.tensor([0.01, float('nan')])
    assert float(rain_loss(estimate, rate, extinction).detach()) == pytest.approx(0, abs=1e-9)
    rate = torch.tensor([100.0, 150.0])
    far = rain_loss(estimate + 1.0, rate, extinction)
    assert float(far.detach()) == pytest.approx(0.25 * (1 - 0.125), rel=1e-5), 'Huber'
    far.backward()
    assert estimate.grad[1, 1] == 0 and (estimate.grad.flatten()[:3] > 0).all()


def test_a_dry_frame_has_a_rate_of_zero_and_the_farthest_sight():
    estimate = rain_logs(torch.zeros(1), torch.zeros(1))
    assert estimate[0, 0] == 0 and torch.isfinite(estimate).all()
    assert float(rain_loss(estimate, torch.zeros(1), torch.zeros(1))) == 0


def test_rain_loss_of_nothing_known_is_zero_with_a_gradient():
    estimate = torch.randn(2, 2, requires_grad=True)
    unknown = torch.full((2,), float('nan'))
    loss = rain_loss(estimate, unknown, unknown)
    loss.backward()
    assert loss.item() == 0 and not estimate.grad.any()


GROUPS = group_members([Group('rider', (1, 3)), Group('thing', (0, 2, 3))], 5)


def naive_loss(logits, labels, weights, groups):
    """Sum up probabilities pixel by pixel, in double precision."""
    logits = F.interpolate(logits, labels.shape[-2:], mode='bilinear', align_corners=False)
    num_classes = logits.shape[1]
    total, count = 0, 0
    for n, y, x in np.ndindex(*labels.shape):
        label = int(labels[n, y, x])
        if label == 255:
            continue
        ids = [label] if label < num_classes else groups[label - num_classes].nonzero()[:, 0]
        weight = 1 if weights is None else weights[ids].mean()
        total = total - weight * logits[n, :, y, x].softmax(0)[ids].sum().log()
        count = count + weight
    return total / count


@pytest.mark.parametrize('weighted', [False, True])
def test_segmentation_loss_of_groups_is_that_of_summed_probabilities(weighted, monkeypatch):
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)  # as exact as the reference
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 6, 255], dtype=torch.uint8)[
        torch.randint(8, (2, 6, 8), generator=generator)]
    weights = torch.rand(5, dtype=torch.float64, generator=generator) if weighted else None
    results = []
    for loss in (segmentation_loss, naive_loss):
        logits = 3 * torch.randn(2, 5, 3, 4, dtype=torch.float64,
                                 generator=torch.Generator().manual_seed(1))
        value = loss(logits.requires_grad_(), labels, weights, GROUPS)
        value.backward()
        results.append((value.detach(), logits.grad))
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('weights', [None, torch.tensor([0.5, 2.0, 1.0, 3.0, 0.1])])
def test_groups_change_nothing_for_pixels_of_one_class(weights):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, generator=generator)
    labels = torch.randint(6, (2, 6, 8), generator=generator).to(torch.uint8)
    labels[labels == 5] = 255
    assert float(segmentation_loss(logits, labels, weights, GROUPS)) == pytest.approx(
        float(segmentation_loss(logits, labels, weights)), rel=1e-6)


@pytest.mark.parametrize('label, expected', [(1, 400.0), (5, 200.0), (6, 0.0)])
def test_groups_stay_finite_where_probabilities_underflow(label, expected):
    logits = torch.tensor([400.0, 0.0, 0.0, 200.0, -9e3]).view(1, 5, 1, 1).requires_grad_()
    loss = segmentation_loss(logits, torch.full((1, 1, 1), label), None, GROUPS)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-4)
    assert logits.grad.isfinite().all() and abs(float(logits.grad.sum())) < 1e-6


def test_a_group_pulls_its_likeliest_class_most_and_leaves_it_the_choice():
    logits = torch.tensor([0.0, 2.0, 0.0, 1.0, 0.0]).view(1, 5, 1, 1).requires_grad_()
    segmentation_loss(logits, torch.full((1, 1, 1), 5), None, GROUPS).backward()
    zero, first, two, third, four = logits.grad.flatten().tolist()
    assert first < third < 0 < zero == two == four


def test_two_hundred_classes_and_their_groups_up_to_the_void():
    groups = group_members([Group(str(i), (i, i + 1)) for i in range(55)], 200)
    labels = torch.arange(256).view(1, 16, 16).to(torch.uint8)
    loss = segmentation_loss(torch.zeros(1, 200, 16, 16), labels, None, groups)
    assert float(loss) == pytest.approx((200 * log(200) + 55 * log(100)) / 255, rel=1e-5)


def test_no_groups_make_no_members():
    assert group_members((), 4) is None
    assert GROUPS.tolist()[0] == [False, True, False, True, False]


def test_lovasz_loss_leaves_pixels_of_groups_out():
    logits = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(5, (1, 16, 16), generator=torch.Generator().manual_seed(1)).byte()
    void = labels.clone()
    labels[:, 4:9], void[:, 4:9] = 6, 255
    values = []
    for given in (labels, void):
        torch.manual_seed(0)
        values.append(float(lovasz_loss(logits, given)))
    assert values[0] == values[1] > 0


def test_adversarial_losses():
    sure, unsure = torch.full((1, 1, 2, 2), 40.0), torch.zeros(1, 1, 2, 2)
    assert float(adversarial_loss(sure)) == pytest.approx(0, abs=1e-6)
    assert float(adversarial_loss(unsure)) == pytest.approx(log(2))
    assert float(discriminator_loss(sure, -sure)) == pytest.approx(0, abs=1e-6)
    assert float(discriminator_loss(unsure, unsure)) == pytest.approx(log(2))
    assert float(discriminator_loss(-sure, sure)) == pytest.approx(40)


def test_class_weights_are_higher_for_rarer_classes(tmp_path):
    labels = np.zeros((10, 10), np.uint8)
    labels[:2], labels[9] = 1, 255
    labels[8, 5:] = 77  # of a group
    path = tmp_path / 'labels.png'
    cv2.imwrite(str(path), labels)
    scene = Scene('a', path, path, {0: 0, 1: 1, 77: 11, 255: 255})
    weights = class_weights(SceneList('a', CAMVID, (scene,)))
    raw = np.array([1 / log(1.1 + 65 / 85), 1 / log(1.1 + 20 / 85), *[1 / log(1.1)] * 9])
    np.testing.assert_allclose(weights.numpy(), raw / raw.mean(), rtol=1e-5)


def test_class_weights_need_a_labeled_pixel(tmp_path):
    path = tmp_path / 'labels.png'
    cv2.imwrite(str(path), np.full((10, 10), 255, np.uint8))
    scene = Scene('a', path, path, {255: 255})
    with pytest.raises(ValueError, match='no pixel of all-void has a class'):
        class_weights(SceneList('all-void', CAMVID, (scene,)))


def test_lovasz_loss_is_one_minus_miou_for_hard_predictions():
    labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    labels[:, :, 16:] = 1
    predicted = torch.zeros(1, 32, 32, dtype=torch.long)
    predicted[:, :, 8:] = 1  # half of class 0 is called 1: IoU 1 / 2 and 2 / 3
    logits = 100.0 * F.one_hot(predicted, 4).permute(0, 3, 1, 2).float()
    assert float(lovasz_loss(logits, labels)) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-5)
    labels[:, 16:] = 255  # what is unlabeled changes nothing here: the rows are alike
    assert float(lovasz_loss(logits, labels)) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-5)


def test_lovasz_loss_pulls_a_rare_class_harder_than_cross_entropy_does():
    def pull(loss):
        logits = torch.randn(1, 2, 128, 128, generator=torch.Generator().manual_seed(0))
        loss(logits.requires_grad_(), labels).backward()
        gradient = logits.grad[0, 1]
        return -gradient[:, :8].mean() / gradient[:, 8:].mean()

    torch.manual_seed(0)
    labels = torch.zeros(1, 128, 128, dtype=torch.uint8)
    labels[:, :, :8] = 1
    assert pull(lovasz_loss) > 1.5 * pull(segmentation_loss)


def test_lovasz_loss_without_labels_is_zero_and_has_a_gradient():
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = lovasz_loss(logits, torch.full((2, 16, 16), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()
