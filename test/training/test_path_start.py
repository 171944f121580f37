# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A SAM with other paths does what its source does wherever the paths mean the same."""

import pytest
import torch

from ubcn_ros.labels import LabelSet, distinct_colors, paths_of
from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.veil_field import FieldSAM, FieldSAMConfig
from ubcn_ros.training.path_start import path_sources, path_weights

VEIL = {'veil_channels': 4, 'veil_texture': 4}
FORMS = [SAMConfig(4, 1, 2, form='trunk'), SAMConfig(4, 1), SAMConfig(4, 1, share_paths=False),
         FieldSAMConfig(4, 1, 2, form='trunk', **VEIL),
         FieldSAMConfig(4, 1, 2, form='trunk', veil_below=True, **VEIL)]


def labels(*classes, dominant=()):
    return LabelSet('x', classes, distinct_colors(len(classes)),
                    paths_of(len(classes), dominant or range(len(classes))))


def sam(config, paths, seed):
    torch.manual_seed(seed)
    kind = FieldSAM if isinstance(config, FieldSAMConfig) else SAM
    made = kind(config, paths).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def test_paths_come_from_those_with_a_class_of_the_same_name():
    theirs = labels('Sky', 'Road', 'Tree', 'Car', dominant=(0, 1))
    ours = labels('road', 'tram', 'SKY', 'car')
    assert path_sources(ours, theirs) == [[1], [0, 1, 2], [0], [2]]


@pytest.mark.parametrize('config', FORMS)
def test_paths_in_another_order_give_the_same_image(config):
    source, ours = sam(config, 3, 1), sam(config, 3, 2)
    order = [[2], [0], [1]]
    ours.load_state_dict({**source.state_dict(), **path_weights(source, order)})
    image, previous = torch.rand(2, 1, 3, 64, 96)
    masks = torch.rand(1, 3, 16, 24).softmax(1)
    with torch.no_grad():
        expected = source(image, previous, masks)
        found = ours(image, previous, masks[:, [2, 0, 1]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('config', [c for c in FORMS if c.form == 'trunk'])
def test_a_path_shared_out_over_two_gives_the_same_image(config):
    source, ours = sam(config, 2, 1), sam(config, 3, 2)
    ours.load_state_dict({**source.state_dict(), **path_weights(source, [[0], [1], [1]])})
    image, previous = torch.rand(2, 1, 3, 64, 96)
    masks = torch.rand(1, 3, 16, 24).softmax(1)
    with torch.no_grad():
        expected = source(image, previous, torch.stack(
            (masks[:, 0], masks[:, 1] + masks[:, 2]), 1))
        found = ours(image, previous, masks)
    torch.testing.assert_close(found, expected)
