# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The newest frame wins, none goes uncounted, and no camera starves, whatever the others do."""

import random
import threading

import numpy as np
import pytest

from ubcn_ros.node.frame_queue import FrameQueue

PERIOD = 1000 / 30  # milliseconds


def test_a_newer_frame_replaces_the_one_that_waits():
    queue = FrameQueue(lambda frame: None)
    queue.serve(['front'])
    assert [queue.put('front', frame) for frame in range(3)] == [False, True, True]
    assert queue.take() == [('front', 2)]
    assert queue.take() == []


def test_a_frame_is_discarded_once():
    queue = FrameQueue(lambda frame: None)
    queue.serve(['front'])
    queue.put('front', 1)
    assert queue.discard('front') and not queue.discard('front')
    assert queue.take() == [] and not queue.put('front', 2)


def test_the_frame_of_a_camera_that_is_not_served_waits():
    queue = FrameQueue(lambda frame: None)
    queue.put('front', 1)
    assert queue.take() == []
    queue.serve(['front'])
    assert queue.take() == [('front', 1)]


def test_counts_add_up_between_threads():
    queue, taken, over = FrameQueue(lambda frame: None), [], threading.Event()
    queue.serve(['front'])

    def consume():
        while not over.is_set():
            taken.extend(frame for _, frame in queue.take())

    consumer = threading.Thread(target=consume)
    consumer.start()
    replaced = sum(queue.put('front', frame) for frame in range(5000))
    over.set()
    consumer.join()
    taken += [frame for _, frame in queue.take()]
    assert taken == sorted(set(taken)) and taken[-1] == 4999
    assert len(taken) + replaced == 5000


@pytest.mark.parametrize('wake', [lambda queue: queue.put('front', 1),
                                  lambda queue: queue.serve(['front'])])
def test_everybody_who_waits_is_woken(wake):
    queue, waiting = FrameQueue(lambda frame: None), []

    def wait():
        with queue.condition:
            waiting.append(1)
            queue.condition.wait(30.0)

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    while len(waiting) < 3:
        waiters[0].join(0.001)
    wake(queue)
    for waiter in waiters:
        waiter.join(5.0)
    assert not any(waiter.is_alive() for waiter in waiters)


@pytest.mark.parametrize('seed', range(40))
def test_who_waits_is_served_after_as_many_batches_at_most_as_there_are_others(seed):
    rnd = random.Random(seed)
    count = rnd.randint(2, 8)
    cameras = range(count)
    queue = FrameQueue(lambda frame: frame[1])
    queue.take_at_most(most := rnd.choice([None, 1, 2, 4]))
    queue.serve(cameras)
    kinds = [rnd.choice(['small', 'large', 'huge', None]) for _ in cameras]
    eager = [rnd.random() for _ in cameras]
    waiting = dict.fromkeys(cameras, 0)
    there = set()
    for _ in range(300):
        for camera in cameras:
            if rnd.random() < eager[camera]:
                assert queue.put(camera, (camera, kinds[camera])) == (camera in there)
                there.add(camera)
        batch = queue.take()
        taken = [camera for camera, _ in batch]
        assert all(camera == frame[0] for camera, frame in batch)
        assert len({kinds[camera] for camera in taken}) <= 1
        assert len(taken) <= 1 or kinds[taken[0]] is not None, 'those go alone'
        assert len(taken) <= (most or count)
        there -= set(taken)
        for camera in cameras:
            waiting[camera] = waiting[camera] + 1 if camera in there else 0
        assert max(waiting.values()) <= count - 1
        assert taken or not there


def drive(periods, costs, phases, most):
    """
    Run cameras against an engine for ten seconds of a simulated clock, in milliseconds.

    :param costs: of an image of each camera, and what a batch takes besides.
    :return: the latencies of each camera's published frames.
    """
    costs, per_batch = costs
    queue = FrameQueue(lambda frame: costs[frame[0]])
    queue.take_at_most(most)
    queue.serve(range(len(periods)))
    arrivals = sorted((phase + n * period, number)
                      for number, (phase, period) in enumerate(zip(phases, periods, strict=True))
                      for n in range(int(1e4 / period)))
    now = published = 0.0
    latencies = [[] for _ in periods]
    while True:
        while arrivals and arrivals[0][0] <= now:
            time, camera = arrivals.pop(0)
            queue.put(camera, (camera, time))
        batch = queue.take()
        if not batch:
            if not arrivals:
                return latencies
            now = arrivals[0][0]
            continue
        now = max(now + per_batch + sum(costs[camera] for camera, _ in batch), published)
        published = now
        for camera, (_, time) in batch:
            published += 2.0  # takes to publish
            latencies[camera].append(published - time)


def spread(count):
    return [number * PERIOD / count for number in range(count)]


@pytest.mark.parametrize('phases', [spread(6), [0] * 6, [0, 0, 0, 16, 16, 16]],
                         ids=['spread', 'at once', 'two groups'])
@pytest.mark.parametrize('costs, most', [(([4.7] * 6, 0.0), 1), (([2.7] * 6, 2.0), 3),
                                         (([4.5] * 6, 0.5), 1)])
def test_six_cameras_at_30_hz_are_out_within_their_period(phases, costs, most):
    for latencies in drive([PERIOD] * 6, costs, phases, most):
        assert len(latencies) == 300, 'no frame is dropped'
        assert np.percentile(latencies, 95) <= PERIOD


@pytest.mark.parametrize(('most', 'turn'), [(1, 32 + 5 * 8), (4, 32 + 2 * 4 * 8)])
def test_a_large_camera_neither_starves_nor_starves_the_others_under_overload(most, turn):
    large, *small = drive([PERIOD] * 6, ([32.0] + [8.0] * 5, 0.0), spread(6), most)
    # all have had their turn after so many milliseconds, but for half-filled batches
    assert min(map(len, (large, *small))) >= 0.95 * 10e3 / turn
    assert max(map(max, (large, *small))) <= 2 * turn


def test_a_fast_camera_gets_its_share_though_its_images_are_always_the_youngest():
    fast, *slow = drive([10, 33.3, 33.4], ([20.0] * 3, 0.0), [0, 5, 9], 1)
    assert len(fast) >= 0.9 * len(slow[0])


def test_a_camera_that_comes_and_goes_is_served_at_once():
    rare, *others = drive([1000] + [PERIOD] * 5, ([4.7] * 6, 0.0), [7, *spread(5)], 1)
    assert len(rare) == 10 and max(rare) <= 2 * 4.7 + 2 * 2
