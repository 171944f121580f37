# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stand-in takes its time, and is what the node takes for an engine."""

import inspect
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
from ubcn_ros.benchmark.stand_in import StandIn, load, stand_in_model  # noqa: E402
from ubcn_ros.node.parameters import Settings  # noqa: E402
from ubcn_ros.runtime import Engine  # noqa: E402


def test_it_takes_its_time_for_each_image_and_no_processor():
    engine = StandIn(20.0)
    images = [np.zeros((32, 48, 3), np.uint8)] * 3
    engine.warm_up(32, 48)
    started, used = time.monotonic(), time.thread_time()
    frames = engine.batch(images, iterations=2)
    assert time.monotonic() - started >= 0.06 and time.thread_time() - used < 0.05
    assert [frame.timings['total'] for frame in frames] == [60.0] * 3
    assert {(frame.derained.shape, frame.labels.shape, frame.iterations, frame.confidence)
            for frame in frames} == {((32, 48, 3), (32, 48), 2, None)}
    assert engine(images[0], confidence=True).confidence.shape == (32, 48)
    assert engine(images[0], derained=False).derained is None
    assert engine(images[0], labels=False).labels is None


def test_it_takes_what_an_engine_takes():
    given = [name for name in inspect.signature(Engine.batch).parameters if name != 'self'][1:]
    StandIn(0).batch([np.zeros((32, 32, 3), np.uint8)], **dict.fromkeys(given, 1))


@pytest.mark.parametrize('milliseconds', [0, 3, 0.5])
def test_its_name_says_how_long_it_takes(milliseconds):
    name = stand_in_model(milliseconds)
    engine = load(Settings.of({'model': name}), print)
    frame = engine(np.zeros((32, 32, 3), np.uint8))
    assert (engine.info.name, frame.timings['total']) == (name, milliseconds)


def test_any_other_name_is_a_networks(tiny_model):
    engine = load(Settings.of({'model': str(tiny_model), 'device': 'cpu'}), print)
    assert isinstance(engine, Engine)
