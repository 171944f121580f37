# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames on a GPU, a simulated one: what graphs replay is what modules compute."""

import numpy as np
import pytest

from ubcn_ros import Engine

pytestmark = pytest.mark.usefixtures('one_thread')


def test_graphs_are_captured_and_equal_the_modules(simulated_gpu, rain_model):
    graphs, eager = (Engine.load(rain_model, 'cuda', 'fp32', backend)
                     for backend in ('graphs', 'eager'))
    first, *images = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    for options in ({'confidence': True, 'deadline': 1e12}, {'processing_size': 40},
                    {'convergence': 10.0}, {'labels': False},
                    {'derained': False, 'min_confidence': 0.3}):
        for image in (first, first):  # they are prepared before the second frame of a size
            graphs(image, 2, **options)
        for image in images:
            found, expected = graphs(image, 3, **options), eager(image, 3, **options)
            for name in ('derained', 'labels', 'confidence', 'iterations', 'unlabeled'):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
            assert found.rain == pytest.approx(expected.rain)
    assert graphs.backend == 'graphs' and all(graphs._backend.prepared.values())


def test_a_frame_by_graphs_waits_for_its_results_alone(simulated_gpu, rain_model):
    engine = Engine.load(rain_model, 'cuda', 'fp32')
    engine.warm_up(48, 64)
    simulated_gpu.waits.clear()
    engine(np.zeros((48, 64, 3), np.uint8), 3, confidence=True)
    upload, results = simulated_gpu.waits
    assert upload[1].startswith('ubcn_ros.runtime.backends.static_buffers:')
    assert results[1].startswith('ubcn_ros.runtime.stopwatch:')
