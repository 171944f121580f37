# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fast output path is the plain one: interpolate and argmax, clamp and round."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.runtime.cpu_output import labels_on_cpu, to_bytes
from ubcn_ros.runtime.transfer import labels_of


@pytest.mark.parametrize('size', [(64, 96), (61, 97), (33, 32)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_labels_are_the_argmax_of_the_enlarged_logits(size, dtype):
    torch.manual_seed(1)
    logits = torch.randn(1, 11, 16, 25).to(dtype, memory_format=torch.channels_last)
    expected = F.interpolate(logits.float(), size, mode='bilinear', align_corners=False)[0]
    labels = labels_on_cpu(logits[0], size, False)[0].numpy()
    assert labels.dtype == np.uint8 and labels.shape == size
    # where two classes are equal but for rounding, either may win
    top = expected.topk(2, 0).values
    clear = ((top[0] - top[1]) > 1e-4).numpy()
    assert clear.mean() > 0.99
    assert (labels == expected.argmax(0).numpy())[clear].all()


@pytest.mark.parametrize('size', [(64, 96), (61, 97), (33, 32)])
@pytest.mark.parametrize('temperature', [0.2, 1.0, 3.0])
@pytest.mark.parametrize('classes', [1, 2, 11])
def test_the_confidence_is_that_of_all_logits_at_once(size, temperature, classes):
    logits = 4 * torch.randn(classes, 16, 25, generator=torch.Generator().manual_seed(3))
    labels, sure = (each.numpy() for each in labels_on_cpu(logits, size, True, temperature))
    assert sure.dtype == np.uint8
    assert np.array_equal(labels, labels_on_cpu(logits, size, False)[0])
    expected = labels_of(logits, size, True, temperature)[1].numpy()
    difference = np.abs(sure.astype(int) - expected)
    # to the rounding of one in a thousand
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


@pytest.mark.parametrize('scale', [1e4, 1e30])
def test_the_confidence_of_large_logits_is_finite(scale):
    logits = scale * torch.tensor([1.0, -1.0, 0.0])[:, None, None].expand(3, 4, 4)
    labels, sure = labels_on_cpu(logits, (8, 8), True, 0.01)
    assert (labels == 0).all() and (sure == 255).all()


def test_the_first_of_equal_classes_wins():
    for values, first in (((1.0, 1.0, 1.0), 0), ((0.0, 1.0, 1.0), 1)):
        logits = torch.tensor(values)[:, None, None].expand(3, 4, 4)
        assert (labels_on_cpu(logits, (8, 8), False)[0] == first).all()


def test_bytes_are_clamped_and_rounded():
    values = torch.tensor([-0.5, -1e-3, 0.0, 0.2, 0.4999, 1.0, 1.7, 100.0])
    image = values.repeat(3, 4, 1)
    expected = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    result = to_bytes(image)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)


def test_random_images_are_rounded_alike():
    torch.manual_seed(2)
    image = torch.rand(3, 50, 70) * 1.2 - 0.1
    expected = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(to_bytes(image), expected)
