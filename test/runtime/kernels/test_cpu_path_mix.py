# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mix in strips is the plain trunk form."""

import pytest
import torch

from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.runtime.kernels.cpu_path_mix import mix_in_strips


@pytest.mark.parametrize('strip', [2 ** 20, 500])
@pytest.mark.parametrize('size', [(16, 24), (13, 21)])
def test_equal_to_the_reference(strip, size):
    torch.manual_seed(0)
    sam = SAM(SAMConfig(8, 2, 2, form='trunk'), num_paths=5).eval().requires_grad_(False)
    for parameter in sam.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    height, width = size
    inputs = (torch.rand(2, 3, height, width), torch.rand(2, 3, height, width),
              torch.randn(2, 5, 4, 6).softmax(1))
    expected = sam(*inputs)
    assert mix_in_strips(sam, strip) == 1
    assert mix_in_strips(sam) == 0, 'once'
    result = sam(*inputs)
    assert (expected - inputs[1]).abs().max() > 0.1, 'SAM does something'
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_the_stacks_form_stays():
    assert mix_in_strips(SAM(SAMConfig(8, 1), num_paths=2)) == 0
