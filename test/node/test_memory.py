# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What of glibc's settings is told of, and what is not."""

import pytest

from ubcn_ros.node.memory import explain_malloc

FULL_HD = 3 * 1920 * 1080


@pytest.mark.parametrize('environment', [
    {'MALLOC_MMAP_THRESHOLD_': '131072'}, {'MALLOC_MMAP_THRESHOLD_': str(FULL_HD - 1)},
    {'GLIBC_TUNABLES': 'glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=65536'},
    {'GLIBC_TUNABLES': 'glibc.malloc.mmap_threshold=0x10000'},
    {'GLIBC_TUNABLES': 'glibc.malloc.mmap_threshold=0200000'}])
def test_a_threshold_below_an_image_is_told_with_its_value(environment):
    text = explain_malloc(FULL_HD, environment)
    assert next(iter(environment.values())).rpartition('=')[2] in text
    assert next(iter(environment)) in text and 'unset' in text
    assert explain_malloc(0, environment) == '', 'of no size nothing is known'


@pytest.mark.parametrize('environment', [
    {}, {'MALLOC_MMAP_THRESHOLD_': ''}, {'MALLOC_MMAP_THRESHOLD_': 'x'},
    {'MALLOC_MMAP_THRESHOLD_': str(FULL_HD)}, {'MALLOC_MMAP_THRESHOLD_': '089'},
    {'MALLOC_MMAP_THRESHOLD_': '-1'},
    {'GLIBC_TUNABLES': 'glibc.malloc.arena_max=1:x'},
    {'GLIBC_TUNABLES': 'glibc.malloc.mmap_threshold=1073741824'}])
def test_all_else_is_left_alone(environment):
    assert explain_malloc(FULL_HD, environment) == ''
