# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Draw what is as likely between 1 and 2 as between 2 and 4."""

from __future__ import annotations

import numpy as np


def log_uniform(rng: np.random.Generator, least: float, most: float) -> float:
    """Draw a number between two above 0, its logarithm uniform."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))
