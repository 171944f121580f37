# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of two splits that may hold parts of one drive."""

import random
import time

from ubcn_ros.data.check.copies import _in_one_part


def test_a_part_that_a_split_shares_may_differ():
    ours = [('images', 'train', 'a'), ('images', 'train', 'b'), ('images', 'train')]
    theirs = [('images', 'val', 'c'), ('images', 'val', 'b'), ('masks', 'val', 'b')]
    assert list(_in_one_part(ours, theirs)) == [(ours[1], theirs[1])]
    # a town that neither split is of alone
    assert not list(_in_one_part([('a', '1'), ('b', '1')], [('c', '1'), ('d', '1')]))
    assert list(_in_one_part([('a', '1'), ('b', '1')], [('c', '1')])) == [
        (('a', '1'), ('c', '1')), (('b', '1'), ('c', '1'))]


def test_every_pair_is_found_in_order():
    draw = random.Random(0)
    for _ in range(300):
        ours, theirs = (list(dict.fromkeys(
            tuple(map(draw.choice, (first, 'x', 'ab', 'abc')[:draw.choice((2, 3, 4, 4))]))
            for _ in range(6))) for first in ('t', 'tv'))
        shared = {part for found in (ours, theirs) for part in set.intersection(
            *({*enumerate(folder)} for folder in found))}
        apart = {(one, other): {*enumerate(one)} ^ {*enumerate(other)}
                 for one in ours for other in theirs if len(one) == len(other)}
        assert list(_in_one_part(ours, theirs)) == [
            pair for pair, parts in apart.items() if len(parts) == 2 and parts & shared]


def test_a_folder_for_each_image_takes_no_time():
    ours, theirs = ([(split, f'{i}_json') for i in range(4000)] for split in ('train', 'val'))
    start = time.process_time()
    assert len(list(_in_one_part(ours, theirs))) == 4000
    assert time.process_time() - start < 3, 'and not half a minute'
