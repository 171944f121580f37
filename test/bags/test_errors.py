# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts of errors: times exact to the nanosecond, which a float of seconds is not."""

import errno
import os

import pytest

from ubcn_ros.bags.errors import in_seconds, write_error


@pytest.mark.parametrize('time_ns, text', [
    (0, '0.000000000 s'), (1, '0.000000001 s'), (10**9, '1.000000000 s'), (-5, '-0.000000005 s'),
    (-1_500_000_000, '-1.500000000 s'), (1_700_000_000_100_000_000, '1700000000.100000000 s'),
    (1_700_000_000_099_999_999, '1700000000.099999999 s'),
    (2**64 - 1, '18446744073.709551615 s')])
def test_times_are_exact(time_ns, text):
    assert in_seconds(time_ns) == text


@pytest.mark.parametrize('number, remedy', [
    (errno.ENOSPC, 'make room on its disk'), (errno.EFBIG, '(--split-size 3900)'),
    (errno.EACCES, 'that you may write to')])
def test_the_remedy_is_that_of_the_reason(tmp_path, number, remedy):
    assert remedy in str(write_error(tmp_path, OSError(number, os.strerror(number))))
