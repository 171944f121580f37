# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Take a few of many, spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar('T')


def evenly(items: Sequence[T], count: int, middle: bool = False) -> list[T]:
    """
    Choose at most ``count`` items, spread evenly: the first of each of as many equal parts.

    :param middle: take the one in the middle of each part instead.
    """
    count = min(count, len(items))
    return [items[(2 * n + middle) * len(items) // (2 * count)] for n in range(count)]
