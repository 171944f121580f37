# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is channels last in training, and what cannot be."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from ubcn_ros.training.layout import lay_out


@pytest.mark.parametrize(('channels', 'dilation', 'first'), [
    (24, 8, True), (20, 2, True), (24, 1, False), (32, 8, False)])
def test_those_whose_channels_fill_no_blocks_are_channels_first(channels, dilation, first):
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, 6, 3, padding=dilation, dilation=dilation)
    changed = nn.Conv2d(channels, 6, 3, padding=dilation, dilation=dilation)
    changed.load_state_dict(plain.state_dict())
    changed = nn.Sequential(changed)
    lay_out(changed, torch.device('cpu'), 'bf16-mixed')
    image = torch.rand(2, channels, 20, 18).contiguous(memory_format=torch.channels_last)
    found = changed(image)
    assert found.is_contiguous() == changed[0].weight.is_contiguous() == first
    torch.testing.assert_close(found, plain(image))
    lay_out(plain, torch.device('cpu'), '32-true')
    assert not plain.weight.is_contiguous(), 'in fp32 all are channels last'


def test_rescan_is_trained_in_bfloat16():
    code = """
import torch
from ubcn_ros.network.baselines.rescan import RESCAN
from ubcn_ros.training.layout import lay_out
torch.set_num_threads(1)
network = RESCAN()
lay_out(network, torch.device('cpu'), 'bf16-mixed')
image = torch.rand(1, 3, 64, 64).contiguous(memory_format=torch.channels_last)
with torch.autocast('cpu', torch.bfloat16):
    loss = sum(stage.float().square().mean() for stage in network.stages(image))
loss.backward()
"""
    done = subprocess.run([sys.executable, '-c', code], timeout=120, check=False)
    assert done.returncode == 0, 'a segmentation fault is -11'
