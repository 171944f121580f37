# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is worked out of the drops' distribution equals sums over it."""

import numpy as np
import pytest

from ubcn_ros.data.drop_sizes import LARGEST_MM, DropSizes

RATES = pytest.mark.parametrize('rate', [0.5, 20.0, 250.0])


def density(rate, diameters):
    """Drops per cubic metre and millimetre, as Marshall and Palmer print it."""
    return 8000 * np.exp(-4.1 * rate ** -0.21 * diameters)


def middles(smallest):
    edges = np.linspace(smallest, LARGEST_MM, 20001)
    return (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]


@RATES
@pytest.mark.parametrize('smallest', [0.3, 1.0, 4.0])
def test_counts_and_squares_are_sums_over_the_sizes(rate, smallest):
    sizes, (diameters, step) = DropSizes(rate), middles(smallest)
    there = density(rate, diameters)
    assert sizes.count_above(smallest) == pytest.approx(there.sum() * step, rel=1e-5)
    assert sizes.squares_above(np.array([smallest])) == pytest.approx(
        (diameters ** 2 * there).sum() * step / 8000, rel=1e-5)
    assert sizes.count_above(LARGEST_MM) == sizes.squares_above(LARGEST_MM) == 0


@RATES
def test_quantiles_invert_the_distribution(rate):
    sizes, shares = DropSizes(rate), np.array([0.0, 0.1, 0.5, 0.9], np.float32)
    found = sizes.quantiles(shares, 1.0)
    assert found.dtype == np.float32 and found[0] == 1
    smaller = 1 - np.array([sizes.count_above(d) for d in found]) / sizes.count_above(1.0)
    np.testing.assert_allclose(smaller, shares, atol=1e-5)


@RATES
def test_shares_are_the_quotient_of_two_rains(rate):
    diameters = np.linspace(0.5, 6.0, 12)
    np.testing.assert_allclose(
        DropSizes(rate).shares_of(DropSizes(300.0), diameters),
        density(rate, diameters) / density(300.0, diameters), rtol=1e-12)
