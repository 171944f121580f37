# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deadlines under load: the engine on a backend whose steps take a time of the test's own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ubcn_ros.network import Step, UBCNConfig
from ubcn_ros.runtime import ModelInfo
from ubcn_ros.runtime.engine import Engine

IMAGE = np.zeros((32, 32, 3), np.uint8)


class Clock:
    """Goes on only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class SlowBackend:
    """
    Computes nothing, in known time: a step takes `step` seconds, times `load`, give or take 10 %.
    """

    name, device, precision = 'slow', torch.device('cpu'), 'fp32'
    info = ModelInfo('slow', Path('slow.safetensors'), '', UBCNConfig())

    def __init__(self, clock, step):
        self.clock, self.step = clock, step
        self.load = lambda: 1.0
        self._random = np.random.default_rng(1)

    def _take(self):
        for share in (0.4, 0.6):
            self.clock.now += share * self.step * self.load() * self._random.uniform(0.9, 1.1)

    def upload(self, images, working=None):
        self.working = working
        return images

    def first(self, image, mark, segment):
        self._take()
        return Step(image, None, image)

    def next(self, previous, mark, segment):
        self._take()
        return previous

    def download(self, step, confidence, derained, labels):
        return [(IMAGE, IMAGE[..., 0], None)]

    def warm_up(self, size, working=None):
        pass


@pytest.fixture
def clock():
    return Clock()


def make(clock, step=0.010):
    backend = SlowBackend(clock, step)
    return Engine(backend, clock), backend


def run(engine, clock, frames, deadline, iterations=5):
    """Return the steps used per frame, and the share of frames that were done in time."""
    used, met = [], 0
    for _ in range(frames):
        end = clock.now + deadline
        used.append(engine(IMAGE, iterations, deadline=end).iterations)
        met += clock.now <= end
    return used, met / frames


@pytest.mark.parametrize('deadline', [0.022, 0.025, 0.033, 0.045, 0.060])
def test_the_deadline_is_met_when_the_load_doubles_step_time(clock, deadline):
    # at twice the load one step takes at most 2 x 11 ms: it fits
    engine, backend = make(clock)
    calm, met = run(engine, clock, 200, deadline)
    assert met >= 0.95
    backend.load = lambda: 2.0
    loaded, met = run(engine, clock, 200, deadline)
    assert met >= 0.95
    backend.load = lambda: 1.0
    again, met = run(engine, clock, 200, deadline)
    assert met >= 0.95
    assert np.mean(loaded) < np.mean(calm) or deadline < 0.025
    assert np.mean(again) == pytest.approx(np.mean(calm), abs=0.2)
    # not by giving up early: most frames use the steps that fit even if each takes the longest
    assert np.mean(np.array(calm) >= min(5, int(deadline / 0.0111))) >= 0.9


def test_a_load_that_comes_and_goes_within_frames(clock):
    engine, backend = make(clock)
    backend.load = lambda: 2.0 if int(clock.now / 0.5) % 2 else 1.0
    used, met = run(engine, clock, 600, 0.045)
    assert met >= 0.95 and np.mean(used) > 2


def test_a_deadline_that_one_step_misses_still_gives_one_step(clock):
    engine, _ = make(clock)
    used, met = run(engine, clock, 50, 0.005)
    assert used == [1] * 50 and met == 0


def test_the_results_are_there_in_time_however_long_they_take(clock):
    engine, backend = make(clock)

    def slow_download(*_):
        clock.now += 0.020
        return [(IMAGE, IMAGE[..., 0], None)]
    backend.download = slow_download
    used, met = run(engine, clock, 100, 0.055)
    assert met >= 0.95 and np.mean(used) > 2.5


def test_sizes_have_budgets_of_their_own(clock):
    engine, backend = make(clock)
    run(engine, clock, 20, 0.045)
    small = IMAGE
    for _ in range(20):
        engine(np.zeros((48, 32, 3), np.uint8), 5, deadline=clock.now + 0.045)
    assert engine(small, 5, deadline=clock.now + 0.060).iterations == 5


def test_batches_have_step_times_of_their_own(clock):
    engine, backend = make(clock)

    def further_step(previous, mark, segment):
        clock.now += 0.010 * len(previous.image) ** 3  # hardly slower at first, then much
        return previous
    backend.next = further_step
    backend.download = lambda step, *_: [(IMAGE, IMAGE[..., 0], None)] * len(step.image)
    for _ in range(20):
        alone = engine(IMAGE, 5, clock.now + 0.060)
        engine.batch([IMAGE] * 2, 5, clock.now + 0.200)
    assert alone.iterations == 5


def test_iterations_and_deadline_change_from_frame_to_frame(clock):
    engine, _ = make(clock)
    run(engine, clock, 20, 0.045)
    assert [engine(IMAGE, steps).iterations for steps in (1, 4, 2)] == [1, 4, 2]
    assert engine(IMAGE, 5, deadline=clock.now + 0.0235).iterations == 2
    assert engine(IMAGE, 5, deadline=clock.now + 1.0).iterations == 5


def test_a_processing_size_has_step_times_of_its_own(clock):
    engine, backend = make(clock)
    backend.load = lambda: 1.0 if backend.working else 9.0
    large = np.zeros((64, 96, 3), np.uint8)

    def steps(processing_size):
        return [engine(large, 5, clock.now + 0.1, processing_size=processing_size).iterations
                for _ in range(5)][-1]

    assert (steps(32), steps(0), steps(32)) == (5, 1, 5)
