# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folding changes nothing but the speed."""

import torch
from torch import nn

from ubcn_ros.network import build_segmentation
from ubcn_ros.runtime.optimize import fold_batch_norm


def test_folded_equals_plain():
    torch.manual_seed(0)
    network = build_segmentation('ddrnet23_slim', 4, width=8).eval()
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):  # statistics as after training
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
            m.weight.data.uniform_(0.5, 2)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(image)
        folded = fold_batch_norm(network)
        assert folded > 20
        assert torch.allclose(network(image), before, rtol=1e-3, atol=1e-3 * before.abs().max())
