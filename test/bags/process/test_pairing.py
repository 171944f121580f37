# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo by stamp: each image one, in any order, and the same from the middle of a bag on."""

import random

import pytest

from ubcn_ros.bags.process.pairing import LOOKBACK_NS, WINDOW_NS, Pairing

SECOND = 1_000_000_000


def pairs(events, pairing=None, since=None):
    """Image number and info of each pair that is made from a time on, where it is made."""
    pairing, made = pairing or Pairing(), []
    for time, kind, stamp, what in events:
        if kind == 'image':
            info = pairing.image(stamp, time, what)
            found = [] if info is None else [(what, info)]
        else:
            found = [(image, what) for image in pairing.info(stamp, time, what)]
        if since is None or time >= since:
            made += [(time, *pair) for pair in found]
    return made


def test_whichever_comes_first():
    assert pairs([(1, 'image', 5, 'a'), (2, 'info', 5, b'x'), (3, 'info', 6, b'y'),
                  (4, 'image', 6, 'b'), (5, 'image', 7, 'c'), (6, 'info', 8, b'z')]) == [
        (2, 'a', b'x'), (4, 'b', b'y')]


def test_what_is_too_old_is_forgotten():
    assert pairs([(0, 'image', 5, 'a'), (WINDOW_NS + 1, 'info', 5, b'x')]) == []
    assert pairs([(0, 'info', 5, b'x'), (WINDOW_NS + 1, 'image', 5, 'a')]) == []
    assert pairs([(0, 'info', 5, b'x'), (WINDOW_NS, 'image', 5, 'a')]) == [
        (WINDOW_NS, 'a', b'x')]


def test_of_equal_stamps_the_latest_counts():
    """As where a driver leaves the stamp at zero."""
    assert pairs([(1, 'info', 0, b'x'), (2, 'image', 0, 'a'), (3, 'info', 0, b'y'),
                  (4, 'image', 0, 'b'), (5, 'image', 0, 'c')]) == [
        (2, 'a', b'x'), (4, 'b', b'y'), (5, 'c', b'y')]


def test_without_equal_stamps_the_latest_goes_with_each_image():
    assert pairs([(1, 'image', 1, 'a'), (2, 'info', 9, b'x'), (3, 'image', 2, 'b'),
                  (4, 'image', 3, 'c'), (5, 'info', 9, b'y'), (6, 'image', 4, 'd')],
                 Pairing(by_stamp=False)) == [(3, 'b', b'x'), (4, 'c', b'x'), (6, 'd', b'y')]


@pytest.mark.parametrize('seed', range(20))
def test_pairs_are_the_same_from_the_middle_on(seed):
    rng, events = random.Random(seed), []
    for number in range(200):
        time = rng.randrange(30 * SECOND)
        stamp = number if rng.random() < 0.8 else 0
        events.append((time, 'image', stamp, number))
        if rng.random() < 0.9:
            events.append((time + rng.randrange(-3 * SECOND, 3 * SECOND), 'info', stamp,
                           b'%d' % number))
    events.sort(key=lambda event: event[0])
    since = rng.randrange(5, 25) * SECOND
    later = [event for event in events if event[0] >= since - LOOKBACK_NS]
    assert pairs(later, since=since) == pairs(events, since=since) != []
