# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Counts have their noun in the right number, lists end with how many more there are."""

from ubcn_ros.text_table import counted, listed


def test_counts_have_their_noun():
    assert [counted(n, 'image') for n in (0, 1, 2)] == ['0 images', '1 image', '2 images']
    assert counted(1, 'image is', 'images are') == '1 image is'
    assert counted(3, 'image is', 'images are') == '3 images are'


def test_lists_end_with_how_many_more_there_are():
    assert listed([]) == '' and listed(['a', 'b'], 2) == 'a, b'
    assert listed(['a', 'b', 'c'], 2, '; ') == 'a; b and 1 more'
