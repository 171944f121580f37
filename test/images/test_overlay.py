# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The overlay is the image at one end of alpha, the colours at the other."""

from types import SimpleNamespace

import numpy as np
import pytest

from ubcn_ros.images.overlay import overlay

RED = SimpleNamespace(colorize=lambda labels: np.tile(np.uint8([250, 0, 0]), (*labels.shape, 1)))
IMAGE = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
LABELS = np.zeros((8, 10), np.uint8)


def test_alpha_goes_from_the_image_to_the_colours():
    assert np.array_equal(overlay(IMAGE, LABELS, RED, 0.0), IMAGE)
    assert np.array_equal(overlay(IMAGE, LABELS, RED, 1.0), RED.colorize(LABELS))
    half = overlay(IMAGE, LABELS, RED, 0.5)
    assert np.abs(half - (IMAGE / 2.0 + [125, 0, 0])).max() <= 0.5


def test_unlabeled_pixels_show_the_image():
    labels = LABELS.copy()
    labels[:4] = 255
    blended = overlay(IMAGE, labels, RED, 0.7)
    assert np.array_equal(blended[:4], IMAGE[:4])
    assert not np.array_equal(blended[4:], IMAGE[4:])


def test_the_inputs_are_left_alone():
    before = IMAGE.copy()
    overlay(IMAGE, LABELS, RED, 1.0)
    assert np.array_equal(IMAGE, before)


@pytest.mark.parametrize('alpha', [-0.1, 1.1, float('nan')])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match='alpha must be 0 to 1'):
        overlay(IMAGE, LABELS, RED, alpha)


def test_labels_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r'\(4, 10\).*\(8, 10, 3\)'):
        overlay(IMAGE, LABELS[:4], RED)
