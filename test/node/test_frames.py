# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A frame's size and encoding, and the deadline of a batch, which leaves time to publish it."""

from types import SimpleNamespace

import messages
import numpy as np
import pytest

from ubcn_ros.node.frames import (
    Arrival,
    FrameNumbers,
    PendingFrame,
    engine_deadline,
    times_before,
)

RGB = np.zeros((50, 70, 3), np.uint8)


def test_the_size_is_read_without_converting():
    claimed = SimpleNamespace(height=50, width=70)  # and no data at all
    assert Arrival(claimed, 0.0).size() == (50, 70)
    jpeg = messages.compressed(messages.encode(RGB, '.jpg'))
    assert Arrival(jpeg, 0.0, compressed=True).size() == (50, 70)
    assert Arrival(messages.compressed(b'not an image'), 0.0, compressed=True).size() is None


@pytest.mark.parametrize('message, compressed, encoding', [
    (messages.sample('bgr8', RGB), False, 'bgr8'), (messages.sample('mono8', RGB), False, 'rgb8'),
    (messages.compressed(messages.encode(RGB, '.png')), True, 'rgb8')], ids=['bgr', 'mono', 'png'])
def test_the_derained_image_keeps_the_order_of_colours(message, compressed, encoding):
    arrival = Arrival(message, 0.0, compressed)
    assert arrival.output_encoding() == encoding
    assert np.array_equal(arrival.to_rgb(), RGB)


def pending(deadline, publishing):
    return PendingFrame(None, Arrival(None, 0.0), None, deadline, needed=frozenset(),
                        started=0.0, converted=0.0, publishing=publishing)


@pytest.mark.parametrize('frames, expected', [
    ([(10.0, 0.5)], 10.0),  # its own publishing is off already
    ([(10.0, 0.5), (10.0, 0.25)], 9.5),  # the second waits for the first
    ([(10.0, 0.5), (10.0, 0.25), (10.0, 0.0)], 9.25),
    ([(10.0, 0.5), (20.0, 0.25)], 10.0),  # the first has less time left
    ([(None, 0.5), (10.0, 0.25)], 9.5),
    ([(None, 0.5), (None, 0.25)], None),
], ids=str)
def test_every_frame_of_a_batch_is_to_be_out_in_time(frames, expected):
    assert engine_deadline([pending(*values) for values in frames]) == expected


@pytest.mark.parametrize('latency_ms, deadline_ms, late', [
    (25.0, 20.0, True), (20.0, 20.0, False), (25.0, 0.0, False)])
def test_a_frame_is_late_from_its_arrival_on(latency_ms, deadline_ms, late):
    numbers = FrameNumbers(1, (48, 64), processing_ms=10.0, latency_ms=latency_ms,
                           deadline_ms=deadline_ms, timings={})
    assert numbers.late is late


def test_images_of_one_size_and_processing_size_go_together():
    small = SimpleNamespace(height=50, width=70)
    assert Arrival(small, 0.0, False, 360).batch_key() == (50, 70, 360)
    assert Arrival(small, 1.0, False, 0).batch_key() == (50, 70, 0)
    assert Arrival(messages.compressed(b'not an image'), 0.0, True, 360).batch_key() is None


def test_times_before_the_callback_are_told_where_they_make_sense():
    def info(sent, received):
        return {'source_timestamp': sent, 'received_timestamp': received}

    assert times_before(info(1_000_000, 3_500_000), 4_000_000) == {'transport': 2.5, 'take': 0.5}
    # a middleware that does not say, publishers by another clock, and a clock that was set back
    for other in ({}, info(0, 3), info(1, 0), info(5, 3), info(1, 9), info(None, None)):
        assert times_before(other, 4) == {}


@pytest.mark.parametrize('behind, told', [(0, 2.5), (59, 59002.5), (60, None), (3600, None)])
def test_a_publisher_whose_clock_is_far_behind_has_no_time_of_transport(behind, told):
    now = 4_000_000_000_000
    received = now - 500_000
    times = times_before({'source_timestamp': received - 2_500_000 - behind * 10**9,
                          'received_timestamp': received}, now)
    assert times.get('transport') == told and times.get('take') == (0.5 if told else None)
