# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fresh processes: caches of their own, the same image in each, and one that fails."""

import numpy as np
import pytest

from ubcn_ros.benchmark.startup import fixed_image, start_once

START = {'device': 'cpu', 'precision': 'fp32', 'backend': 'auto', 'fused': True, 'autotune': True,
         'threads': 1, 'width': 64, 'height': 48, 'iterations': 1, 'processing_size': -1}


def test_a_failing_process_says_why(tmp_path):
    with pytest.raises(ValueError, match='nothing.safetensors'):
        start_once(tmp_path, model=str(tmp_path / 'nothing.safetensors'), **START)


@pytest.mark.parametrize('size', [(48, 64), (33, 70), (32, 32)])
def test_the_image_is_the_same_each_time_and_no_surface(size):
    image = fixed_image(*size)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert np.array_equal(image, fixed_image(*size)) and image.std() > 20
