# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The baseline of the engine's benchmark is as large as its paper says."""

import torch

from ubcn_ros.network.baselines.prenet import PReNet


def test_it_has_the_published_parameters_and_keeps_the_size():
    network = PReNet()
    assert sum(p.numel() for p in network.parameters()) == 168_963
    image = torch.rand(2, 3, 17, 23)
    assert network(image).shape == image.shape


def test_every_stage_sees_the_last_estimate():
    torch.manual_seed(0)
    network, image = PReNet(), torch.rand(1, 3, 16, 16)
    first = network(image)
    network.stages = 1
    assert not torch.allclose(network(image), first)
