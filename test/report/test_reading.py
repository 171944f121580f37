# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages come in the order that they are asked for, whatever that of the bag."""

from contextlib import ExitStack

import numpy as np
import pytest
from processed_bags import FRONT, SECOND, derained, labels, processed, rainy, write_bag

from ubcn_ros.report.compare import compare
from ubcn_ros.report.reading import Reading
from ubcn_ros.report.recording import OpenBag
from ubcn_ros.report.tracks import BagPaths

COUNT = 24
STEADY = [SECOND + n * SECOND // 10 for n in range(COUNT)]
SET_BACK = [3600 * SECOND + time if n < COUNT // 2 else time for n, time in enumerate(STEADY)]
TOPICS = {FRONT['topic']: lambda n: rainy(n % 8), FRONT['derained']: lambda n: derained(n % 8),
          FRONT['labels']: lambda n: labels(n, n % 8)}
MOST = 60_000  # bytes, of which a frame has 22 kB


@pytest.mark.parametrize('times', [STEADY, SET_BACK, STEADY[::-1], [SECOND] * COUNT],
                         ids=['steady', 'set back', 'reversed', 'at one time'])
@pytest.mark.parametrize('stamps', [STEADY, [0] * COUNT], ids=['stamps', 'none'])
def test_any_order_of_recording_is_read_within_bounds(tmp_path, times, stamps):
    write_bag(tmp_path / 'bag', TOPICS, COUNT, stamps, times)
    with ExitStack() as stack:
        bag = OpenBag.open(tmp_path / 'bag', stack)
        keys = sorted(bag.frames[FRONT['labels']])
        order = [number for _, number in sorted((time, n) for n, time in enumerate(times))]
        expected = range(COUNT) if stamps is STEADY else order
        reading = Reading(bag, [FRONT['derained'], FRONT['labels']], keys, MOST)
        for key, number in zip(keys, expected, strict=True):
            for topic in (FRONT['labels'], FRONT['derained']):
                message = reading.message(topic, key)
                assert np.array_equal(message.data, TOPICS[topic](number).ravel())
                assert reading.kept_bytes <= MOST


def test_frames_of_a_bag_read_in_order_are_read_once(tmp_path, monkeypatch):
    bag, passes = processed(tmp_path / 'bag'), []
    monkeypatch.setattr(Reading, '_start', lambda self, time, start=Reading._start: (
        passes.append(time), start(self, time)))
    assert len(compare(BagPaths(bag, bag)).frames) == 4
    assert passes == [None, None]
