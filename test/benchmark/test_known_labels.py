# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of a benchmark with random weights: those of known labels, and counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ubcn_ros.benchmark.engine import open_engine
from ubcn_ros.benchmark.known_labels import (
    masks_of,
    notes_on_masks,
    paths_reached,
    with_threshold,
)
from ubcn_ros.network import IDMConfig, SAMConfig, UBCNConfig, build

SMALL = UBCNConfig(derain=IDMConfig(4, 1), attention=SAMConfig(4, 2),
                   segmentation='ddrnet23_slim', segmentation_options={'width': 4})


@pytest.fixture
def small_preset(monkeypatch):
    monkeypatch.setattr(UBCNConfig, 'preset', lambda name: SMALL)


def test_the_segmentation_works_and_answers_with_the_labels_of_a_drive():
    network = build(with_threshold(SMALL, 0.02)).eval().bfloat16()
    assert network.segmentation.feature_channels == network.segmentation.network.feature_channels
    worked = []
    network.segmentation.network.register_forward_hook(lambda *found: worked.append(found[-1]))
    with torch.inference_mode():
        logits = network.segment(torch.rand(2, 3, 64, 128))
    assert logits.shape == worked[0].shape and logits.dtype == worked[0].dtype
    probabilities = logits.float().softmax(1)
    assert torch.equal(logits[0], logits[1])
    assert (probabilities.amax(1) > 0.9).float().mean() > 0.3, 'sure of many pixels'
    top, bottom = (probabilities[0, :, row].mean(1).argmax() for row in (0, -2))
    assert (top, bottom) == (0, 3), 'the sky, the road'


def test_a_threshold_of_random_weights_is_told_and_its_paths_counted(small_preset, tmp_path):
    engine = open_engine('paper', None, tmp_path, 0.02, device='cpu', precision='fp32')
    row = masks_of(engine.info.config)
    assert row == {'path_threshold': 0.02, 'masks': 'labels of a rendered drive'}
    row |= paths_reached(engine, np.zeros((64, 128, 3), np.uint8))
    assert 1 < row['paths_reached'] < 8
    note, = notes_on_masks([row | {'name': 'paper', 'width': 128, 'height': 64}] * 2)
    assert 'threshold of 0.02, masks are labels of a rendered drive; at 128x64' in note
    assert f'{row["paths_reached"]} of 10 paths reach' in note


def test_masks_are_told_of_where_they_decide(small_preset, tmp_path):
    engine = open_engine('paper', None, tmp_path, device='cpu', precision='fp32')
    assert masks_of(engine.info.config) == {} == paths_reached(engine, None)
    assert notes_on_masks([{'name': 'paper'}]) == []
    trained = replace(SMALL, attention=replace(SMALL.attention, path_threshold=0.05))
    assert masks_of(trained)['masks'] == "the model's own"
    with pytest.raises(ValueError, match='choose the preset paper or wide'):
        with_threshold(replace(SMALL, attention=SAMConfig(4, 2, form='trunk')), 0.02)
