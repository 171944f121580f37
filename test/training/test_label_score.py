# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""IoU of masks, checked by hand."""

import math

import pytest
import torch

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.scenes import Group
from ubcn_ros.labels import LabelSet, distinct_colors, paths_of
from ubcn_ros.training.label_score import LabelScore


def test_by_hand():
    score = LabelScore(CAMVID, torch.device('cpu'))
    # two images; class 5 is predicted but never true; one true pixel is unlabeled
    score.add(torch.tensor([[0, 0, 3, 5]]), torch.tensor([[0, 3, 3, 3]]))
    score.add(torch.tensor([[0, 3, 3, 7]]), torch.tensor([[0, 3, 0, 255]]))
    result = score.result()
    # sky: 2 of 4 in the union; road: 2 of 5
    assert result['iou']['Sky'] == pytest.approx(100 * 2 / 4)
    assert result['iou']['Road'] == pytest.approx(100 * 2 / 5)
    assert result['iou']['Tree'] is None
    assert result['iou']['Fence'] is None
    assert result['miou'] == pytest.approx(45.0)


def test_without_any_labelled_pixel():
    score = LabelScore(CAMVID, torch.device('cpu'))
    score.add(torch.zeros(1, 4, dtype=torch.long), torch.full((1, 4), 255))
    assert math.isnan(score.result()['miou'])


def test_a_single_class():
    one = LabelSet('one', ('a',), distinct_colors(1), paths_of(1, ()))
    score = LabelScore(one, torch.device('cpu'))
    score.add(torch.zeros(1, 4, dtype=torch.long), torch.tensor([[0, 0, 255, 0]]))
    assert score.result() == {'miou': 100.0, 'iou': {'a': 100.0}}


def test_a_pixel_of_a_group_is_a_false_positive_of_every_class_outside_it():
    ground = Group('ground', (3, 4))
    for groups in ((ground,), (Group('x', (0,)), ground)):
        score = LabelScore(CAMVID, torch.device('cpu'), groups)
        first = CAMVID.num_classes + groups.index(ground)
        truth = torch.tensor([[8, first, first, first, 255, 3, 8]], dtype=torch.uint8)
        labels = torch.tensor([[8, 8, 3, 4, 8, 4, 3]])
        score.add(labels, truth)
        found = score.result()['iou']
        assert truth.tolist() == [[8, first, first, first, 255, 3, 8]], 'left as it was'
        # Car: one right, one missed, one where the ground is; Road: missed once, wrong once
        assert found['Car'] == pytest.approx(100 / 3) and found['Road'] == 0
        assert found['Sidewalk'] is None and score.result()['miou'] == pytest.approx(50 / 3)
