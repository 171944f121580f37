# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fresh processes: caches of their own, and one that fails."""

import pytest

from ubcn_ros.benchmark.startup import start_once

START = {'device': 'cpu', 'precision': 'fp32', 'backend': 'auto', 'fused': True, 'autotune': True,
         'threads': 1, 'width': 64, 'height': 48, 'iterations': 1, 'processing_size': -1}


def test_a_failing_process_says_why(tmp_path):
    with pytest.raises(ValueError, match='nothing.safetensors'):
        start_once(tmp_path, model=str(tmp_path / 'nothing.safetensors'), **START)
