# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of networks as the paper's table 4 states them."""

import pytest

from ubcn_ros.network.baselines import REGISTRY, BaselineConfig, build_baseline
from ubcn_ros.runtime import load_model
from ubcn_ros.study.paper import TABLE_4
from ubcn_ros.study.parameters import checkpoint_megabytes, megabytes, parameters


@pytest.mark.parametrize('name', REGISTRY)
def test_the_papers_megabytes_are_of_parameters_or_of_checkpoints(name):
    module = build_baseline(BaselineConfig(name))
    count = module.published_parameters or sum(p.numel() for p in module.parameters())
    files = name in ('jorder-e', 'rcdnet')
    fitting = checkpoint_megabytes(module) if files else 4e-6 * count
    other = 4e-6 * count if files else checkpoint_megabytes(module)
    paper = TABLE_4[name][0]
    assert fitting == pytest.approx(paper, abs=0.02)
    assert abs(fitting - paper) < abs(other - paper)


def test_the_veil_counts_with_idm_and_a_published_file_as_it_is(rain_model):
    network = load_model(rain_model)[0]
    counts = parameters(network, 'derain', 'segmentation')
    assert [*counts] == ['derain', 'segmentation']
    assert counts['derain'] == sum(
        p.numel() for part in (network.veil, network.derain, network.rain_head)
        for p in part.parameters())
    network.derain.published_parameters = 7
    network.veil = None
    assert parameters(network, 'derain') == {'derain': 7}
    assert megabytes({'a': 57_369, 'b': 1_000_000}) == '0.23 + 4.00'
