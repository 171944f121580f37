# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Threads are those of PyTorch and of OpenCV."""

import cv2
import pytest
import torch

from ubcn_ros.runtime.device import use_threads


@pytest.fixture
def as_before():
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield before
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_threads_are_those_of_both_libraries(as_before):
    use_threads(None)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == as_before
    use_threads(3)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)
