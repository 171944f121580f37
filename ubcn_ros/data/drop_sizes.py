# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many raindrops of which diameter there are at a rain rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST_MM = 6.0
"""Largest diameter: larger drops break up."""
_N0 = 8000  # per cubic metre of air and millimetre of diameter


@dataclass(frozen=True)
class DropSizes:
    """
    The drops of a rain rate, N(D) = N0 exp(-slope D) of each diameter D up to ``LARGEST_MM``.

    N0 = 8000 / (m3 mm) and slope = 4.1 R^-0.21 / mm, R the rain rate in mm/hr, above 0
    (J. S. Marshall and W. McK. Palmer, "The distribution of raindrops with size", Journal of
    Meteorology 5, 1948). Diameters are in mm.
    """

    rate_mm_h: float

    @property
    def slope(self) -> float:
        """Return the slope in 1/mm."""
        return 4.1 * self.rate_mm_h ** -0.21

    def count_above(self, smallest_mm: float) -> float:
        """Return how many drops from that diameter up a cubic metre holds: the integral of N."""
        slope = self.slope
        return _N0 / slope * (np.exp(-slope * smallest_mm) - np.exp(-slope * LARGEST_MM))

    def squares_above(self, smallest_mm: np.ndarray) -> np.ndarray:
        """
        Return the integral of D^2 N(D) / N0 from those diameters up, in mm^3.

        :return: of the shape of ``smallest_mm``.
        """
        slope = self.slope

        def above(d: np.ndarray | float) -> np.ndarray | float:
            return np.exp(-slope * d) * (d * d / slope + 2 * d / slope ** 2 + 2 / slope ** 3)
        return above(smallest_mm) - above(LARGEST_MM)

    def quantiles(self, shares: np.ndarray, smallest_mm: float) -> np.ndarray:
        """
        Return diameters below which are these shares of the drops from ``smallest_mm`` up.

        It is the inverse of the distribution function, for drawing at random.

        :param shares: (N,) float32, from 0 to below 1.
        :return: (N,) float32.
        """
        slope = self.slope
        tail = np.float32(1 - np.exp(-slope * (LARGEST_MM - smallest_mm)))
        return np.float32(smallest_mm) - np.log1p(-tail * shares) / np.float32(slope)

    def shares_of(self, heavier: DropSizes, diameters_mm: np.ndarray) -> np.ndarray:
        """
        Return which share of a heavier rain's drops there are in this one, by their diameter.

        It is the quotient of the two N(D): of the heavier rain, thinned so, this one is left.

        :return: 0..1, of the shape of ``diameters_mm``.
        """
        return np.exp((heavier.slope - self.slope) * diameters_mm)
