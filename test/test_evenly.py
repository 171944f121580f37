# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A few of many are spread evenly."""

import pytest

from ubcn_ros.evenly import evenly


@pytest.mark.parametrize(('many', 'count', 'first', 'middle'), [
    (10, 2, [0, 5], [2, 7]),
    (10, 3, [0, 3, 6], [1, 5, 8]),
    (3, 3, [0, 1, 2], [0, 1, 2]),
    (3, 9, [0, 1, 2], [0, 1, 2]),
    (3, 0, [], []),
    (0, 9, [], []),
])
def test_the_first_or_the_middle_of_equal_parts(many, count, first, middle):
    assert evenly(range(many), count) == first
    assert evenly(range(many), count, middle=True) == middle
