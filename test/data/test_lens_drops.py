# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drops on the lens are soft discs that go with the frame."""

import numpy as np
import pytest

from ubcn_ros.data.lens_drops import drops_on_lens


def test_seed_repeats_and_differs():
    first, again, other = (drops_on_lens(48, 64, np.random.default_rng(seed), 48)
                           for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again)) and not np.array_equal(first[0], other[0])
    alpha, shift, shade = first
    assert alpha.shape == shade.shape == (48, 64) and shift.shape == (48, 64, 2)
    assert 0 <= alpha.min() and alpha.max() <= 1 and (shade > 0.5).all()
    assert all(part.dtype == np.float32 for part in first)


def test_drops_go_with_the_frame():
    small, large = (np.mean([(drops_on_lens(side, side, np.random.default_rng(s), side)[0] > 0.3)
                             .mean() for s in range(60)]) for side in (64, 128))
    assert 0.02 < small < 0.4 and large == pytest.approx(small, rel=0.3)
