# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of a small drive: processed twice, and without rain."""

import numpy as np
import pytest
from processed_bags import FRONT, clean, labels, processed, sidecar, write_bag

from ubcn_ros.data.formats.camvid import CAMVID


@pytest.fixture(scope='session')
def drive(tmp_path_factory):
    """Folder with the bags `a` and `b`, processed, and `dry`, without rain and processed."""
    root = tmp_path_factory.mktemp('drive')
    processed(root / 'a')
    processed(root / 'b', rest=20, shift=6)
    write_bag(root / 'dry', {FRONT['topic']: clean, FRONT['labels']: lambda n: labels(n, 12)})
    sidecar(root / 'dry', [{**FRONT, 'derained': None, 'confidence': None}])
    return root


class FakeEngine:
    """Takes 10 more of the rain with every step; of T = 2 one more row is sky."""

    label_set = CAMVID
    device, precision = 'cpu', 'fp32'

    class info:
        name, sha256 = 'fake', 'cd' * 32

    def __call__(self, image, iterations, confidence, processing_size=None):
        from types import SimpleNamespace
        mask = np.full(image.shape[:2], 3, np.uint8)
        mask[:24 + iterations] = 0
        return SimpleNamespace(
            derained=image - np.uint8(10 * iterations), labels=mask,
            confidence=np.full(image.shape[:2], 200 + iterations, np.uint8),
            timings={'total': 5.0 * iterations})


@pytest.fixture(scope='session')
def fake_engine():
    return FakeEngine()
