# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Counts have their noun in the right number, lists end with how many more there are."""

from ubcn_ros.text_table import counted, fixed, listed


def test_counts_have_their_noun():
    assert [counted(n, 'image') for n in (0, 1, 2)] == ['0 images', '1 image', '2 images']
    assert counted(1, 'image is', 'images are') == '1 image is'
    assert counted(3, 'image is', 'images are') == '3 images are'


def test_numbers_that_are_not_known_are_a_dash():
    assert [fixed(value) for value in (None, float('nan'), 1, 2.345)] == ['-', '-', '1.00', '2.35']
    assert fixed(-0.25, 1) == '-0.2' and fixed(float('inf')) == 'inf'


def test_lists_end_with_how_many_more_there_are():
    assert listed([]) == '' and listed(['a', 'b'], 2) == 'a, b'
    assert listed(['a', 'b', 'c'], 2, '; ') == 'a; b and 1 more'
