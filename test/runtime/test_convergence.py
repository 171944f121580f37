# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Steps that are left out of images that hardly change, each image by itself."""

import math

import numpy as np
import pytest
import torch

from ubcn_ros import Engine
from ubcn_ros.runtime.convergence import change_of, check_convergence

CPU = {'device': 'cpu', 'precision': 'fp32'}


@pytest.fixture(scope='module')
def images():
    """Noise of three brightnesses, which the tiny model changes more the brighter it is."""
    random = np.random.default_rng(3)
    return [(mean + 20 * random.standard_normal((45, 62, 3))).clip(0, 255).astype(np.uint8)
            for mean in (20, 100, 200)]


def changes(engine, image, steps):
    """Return what each step changes, by the rounded images of the steps."""
    results = [image] + [engine(image, t, convergence=0).derained for t in range(1, steps + 1)]
    return [np.abs(after.astype(float) - before).mean()
            for before, after in zip(results, results[1:], strict=False)]


def same(one, other):
    assert one.iterations == other.iterations
    assert np.abs(one.derained.astype(int) - other.derained).max() <= 1
    assert (one.labels == other.labels).mean() > 0.999
    assert np.abs(one.confidence.astype(int) - other.confidence).max() <= 1


def test_a_change_is_the_mean_of_the_absolute_differences():
    before = torch.tensor([0.4, 0.5]).view(2, 1, 1, 1).expand(2, 3, 4, 5)
    after = before.clone()
    after[0, 0] -= 0.7  # no darker than black
    after[1, :, :2] += 0.1
    assert change_of(after.half(), before) == pytest.approx([34, 12.75], rel=1e-2)


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_the_loop_ends_with_the_first_step_that_changes_less(tiny_model, images, backend):
    engine = Engine.load(tiny_model, **CPU, backend=backend)
    for image in images:
        steps = changes(engine, image, 4)
        for threshold in (0.5 * min(steps), *(1.05 * change for change in steps), 255):
            below = [change < threshold for change in steps]
            expected = 1 + below.index(True) if any(below) else 4
            frame = engine(image, 4, confidence=True, convergence=threshold)
            assert frame.iterations == expected
            same(frame, engine(image, expected, confidence=True))


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_an_image_of_a_batch_converges_as_it_does_alone(tiny_model, images, backend):
    engine = Engine.load(tiny_model, **CPU, backend=backend)
    first = [changes(engine, image, 1)[0] for image in images]
    assert first == sorted(first)
    threshold = (first[0] + first[1]) / 2  # between a neighbour that ends at once and the others
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 0]):
        batch = [images[i] for i in order]
        for _ in range(2):  # graphs are used from the second frame on
            found = engine.batch(batch, 3, confidence=True, convergence=threshold)
        assert len({frame.iterations for frame in found}) > 1
        for frame, image in zip(found, batch, strict=True):
            same(frame, engine(image, 3, confidence=True, convergence=threshold))


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_what_a_model_tells_of_the_rain_is_of_the_image_itself(rain_model, images, backend):
    engine = Engine.load(rain_model, **CPU, backend=backend)
    first = sorted(changes(engine, image, 1)[0] for image in images)
    threshold = (first[0] + first[1]) / 2
    for _ in range(2):  # graphs are used from the second frame on
        found = engine.batch(images, 3, confidence=True, convergence=threshold)
    assert len({frame.iterations for frame in found}) > 1
    for frame, image in zip(found, images, strict=True):
        alone = engine(image, 3, confidence=True, convergence=threshold)
        same(frame, alone)
        assert frame.rain == pytest.approx(alone.rain, rel=1e-3)


def test_a_deadline_ends_what_has_not_converged(tiny_engine, images):
    frame = tiny_engine(images[2], 3, deadline=-1.0, convergence=1e-9)
    assert frame.iterations == 1


def test_the_engines_own_convergence_holds_unless_a_frame_says_another(tiny_model, images):
    engine = Engine.load(tiny_model, **CPU, convergence=255)
    assert engine(images[0], 3).iterations == 1
    assert engine(images[0], 3, convergence=0).iterations == 3
    assert engine(images[0], 1, convergence=1e-9).iterations == 1


def test_a_warm_up_runs_every_kind_of_step_though_black_images_converge(tiny_model):
    engine = Engine.load(tiny_model, **CPU, convergence=255)
    lines = []
    engine.warm_up(40, 48, lines.append)
    assert 'for two steps' in lines[-1]
    frame = engine(np.zeros((40, 48, 3), np.uint8), 2)
    assert frame.iterations == 1 and frame.timings['attend'] == 0


@pytest.mark.parametrize('value', [-0.01, 255.1, math.nan, math.inf])
def test_a_threshold_that_cannot_be_is_refused(tiny_model, tiny_engine, images, value):
    for refused in (check_convergence,
                    lambda least: Engine.load(tiny_model, **CPU, convergence=least),
                    lambda least: tiny_engine(images[0], 1, convergence=least)):
        with pytest.raises(ValueError, match='convergence must be 0 to 255, got'):
            refused(value)
