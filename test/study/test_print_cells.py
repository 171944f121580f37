# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Panels of figures: values are scaled, not their colours."""

import numpy as np
import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.voc2012 import VOC2012
from ubcn_ros.study.print_cells import (
    WRONG,
    ErrorMap,
    LabelMap,
    Picture,
    WrongLabels,
    error_colors,
)
from ubcn_ros.study.shown_image import legend


def noise(shape, high=256, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)


@pytest.mark.parametrize('size', [(20, 15), (64, 48), (150, 100)])
def test_a_mask_has_no_other_colours_than_its_classes_at_any_size(size):
    labels = noise((48, 64), 12)
    labels[labels == 11] = 255
    drawn = LabelMap(labels=labels, label_set=CAMVID).at(*size)
    assert drawn.shape == (size[1], size[0], 3)
    known = {tuple(color) for color in CAMVID.palette()[np.unique(labels)]}
    assert {tuple(color) for color in drawn.reshape(-1, 3)} <= known


def test_a_pixel_of_a_smaller_mask_is_the_class_that_has_most_of_it():
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 0::4], labels[::2, 1::4] = 3, 3  # 3 has 3/8 of each 4x4, and 0 the rest
    labels[:8, :8] = 1
    drawn = LabelMap(labels=labels, label_set=CAMVID).at(10, 10)
    expected = np.zeros((10, 10), np.uint8)
    expected[:2, :2] = 1
    assert (drawn == CAMVID.colorize(expected)).all()


@pytest.mark.parametrize('label_set, color', [(CAMVID, (0, 0, 0)), (VOC2012, (224, 224, 192))])
def test_what_has_no_label_is_told_from_every_class(label_set, color):
    labels = np.array([[0, 255]], np.uint8).repeat(4, 0).repeat(4, 1)
    drawn = LabelMap(labels=labels, label_set=label_set).at(2, 1)
    assert [tuple(each) for each in drawn[0]] == [label_set.colors[0], color]
    assert color not in label_set.colors
    assert legend(label_set, [labels]) == [(label_set.classes[0], label_set.colors[0]),
                                           ('no label', color)]


def test_an_error_map_shows_the_mean_error_and_no_mean_of_colours():
    error = np.zeros((8, 8), np.float32)
    error[::2] = 80
    drawn = ErrorMap(error=error, highest=80.0).at(4, 4)
    assert (drawn == error_colors()[128]).all()
    above = ErrorMap(error=np.full((8, 8), 200, np.float32), highest=80.0).at(4, 4)
    assert (above == error_colors()[255]).all()
    light = error_colors().astype(float) @ (0.299, 0.587, 0.114)
    assert (np.diff(light) > -1).all(), 'ordered without colours, too'


def test_wrong_labels_leave_out_what_has_no_true_label():
    truth = np.array([[0, 1, 255, 255]], np.uint8).repeat(4, 0)
    labels = np.array([[0, 0, 0, 3]], np.uint8).repeat(4, 0)
    panel = WrongLabels(image=np.full((4, 4, 3), 90, np.uint8), labels=labels, truth=truth)
    assert (panel.wrong == np.array([[0, 1, 0, 0]], bool)).all()
    drawn = panel.at(4, 4)
    assert (drawn[:, 1] == WRONG).all() and (drawn[:, 0] != WRONG).any(1).all()
    assert (drawn[:, 2] == drawn[:, 3]).all() and (drawn[:, 2] != drawn[:, 0]).any()


def test_a_crop_of_every_kind_is_a_part_of_the_whole():
    image, labels = noise((48, 64, 3)), noise((48, 64), 11)
    for panel in (Picture(image=image), LabelMap(labels=labels, label_set=CAMVID),
                  ErrorMap(error=labels.astype(np.float32), highest=255.0),
                  WrongLabels(image=image, labels=labels, truth=labels[::-1])):
        assert panel.size == (64, 48)
        part = panel.crop(10, 20, 30, 16)
        assert part.size == (30, 16)
        assert (part.at(30, 16) == panel.at(64, 48)[20:36, 10:40]).all()
