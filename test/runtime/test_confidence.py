# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Confidence by a temperature, and masks that leave out what is not sure enough."""

import math

import numpy as np
import pytest
import torch

from ubcn_ros import Engine
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.runtime.backends.backend import LoadOptions
from ubcn_ros.runtime.backends.eager import build
from ubcn_ros.runtime.confidence import check_min_confidence, confidence_of, leave_unlabeled
from ubcn_ros.runtime.transfer import labels_of

CPU = {'device': 'cpu', 'precision': 'fp32'}


@pytest.fixture(scope='module')
def images():
    return [np.random.default_rng(seed).integers(0, 256, (45, 62, 3), np.uint8)
            for seed in range(3)]


@pytest.fixture(scope='module')
def hot_model(tiny_model, tmp_path_factory):
    """The tiny model, whose file says a temperature of 0.25."""
    path = tmp_path_factory.mktemp('hot') / 'hot.safetensors'
    save_model(path, load_model(tiny_model)[0], {'temperature': 0.25})
    return path


@pytest.mark.parametrize('temperature', [0.3, 1.0, 2.5])
@pytest.mark.parametrize('dim', [0, 1])
def test_confidence_is_the_largest_probability(temperature, dim):
    logits = torch.randn((5, 7, 4), generator=torch.Generator().manual_seed(1)) * 4
    expected = (logits / temperature).softmax(dim).amax(dim)
    assert torch.allclose(confidence_of(logits, temperature, dim), expected, atol=1e-6)


def test_confidence_of_large_logits_is_finite():
    assert torch.equal(confidence_of(torch.tensor([3e4, -3e4]), 0.01), torch.tensor(1.0))


def test_a_temperature_changes_the_confidence_and_no_label():
    logits = torch.randn((5, 8, 9), generator=torch.Generator().manual_seed(2))
    labels, sure = labels_of(logits, (16, 18), True)
    calm_labels, calm = labels_of(logits, (16, 18), True, 3.0)
    assert torch.equal(labels, calm_labels) and (calm <= sure).all() and (calm < sure).any()


@pytest.mark.parametrize('least, expected', [
    (0.2, [255, 1, 2, 3]), (0.2001, [255, 255, 2, 3]), (0.5, [255, 255, 2, 3]),
    (1.0, [255, 255, 255, 3]), (0.001, [255, 1, 2, 3])])
def test_labels_below_the_least_become_unlabeled(least, expected):
    labels = np.array([[0, 1], [2, 3]], np.uint8)
    sure = np.array([[0, 51], [128, 255]], np.uint8)  # 51 of 255 is 0.2
    assert leave_unlabeled(labels, sure, least) == expected.count(255) / 4
    assert labels.ravel().tolist() == expected


@pytest.mark.parametrize('value', [-0.01, 1.01, math.nan, math.inf])
def test_a_least_confidence_that_cannot_be_is_refused(tiny_model, tiny_engine, images, value):
    for refused in (check_min_confidence,
                    lambda least: Engine.load(tiny_model, **CPU, min_confidence=least),
                    lambda least: tiny_engine(images[0], 1, min_confidence=least)):
        with pytest.raises(ValueError, match='min_confidence must be 0 to 1, got'):
            refused(value)


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_a_mask_leaves_out_what_is_not_sure_enough(hot_model, images, backend):
    engine = Engine.load(hot_model, **CPU, backend=backend)
    for _ in range(2):  # graphs are used from the second frame on
        sure = engine.batch(images, 2, confidence=True)
        least = float(np.median(sure[0].confidence)) / 255
        found = engine.batch(images, 2, min_confidence=least)
        for frame, expected in zip(found, sure, strict=True):
            below = expected.confidence < round(255 * least)
            assert np.array_equal(frame.labels, np.where(below, 255, expected.labels))
            assert np.array_equal(frame.derained, expected.derained)
            assert frame.confidence is None and expected.unlabeled is None
            assert frame.unlabeled == pytest.approx(below.mean())
        assert 0.2 < found[0].unlabeled < 0.6
    both = engine(images[0], 2, confidence=True, min_confidence=least)
    # resized in a batch an image is the same within rounding
    assert np.abs(both.confidence.astype(int) - sure[0].confidence).max() <= 1, 'masked or not'
    assert np.array_equal(both.labels == 255, both.confidence < round(255 * least))


def test_the_confidence_has_the_temperature_of_the_file(tiny_engine, hot_model, images):
    plain = tiny_engine(images[0], 2, confidence=True)
    for backend in ('eager', 'graphs'):
        engine = Engine.load(hot_model, **CPU, backend=backend)
        for _ in range(3):
            hot = engine(images[0], 2, confidence=True)
            assert np.array_equal(hot.labels, plain.labels)
            assert hot.confidence.mean() > plain.confidence.mean() + 1


def test_the_engines_own_least_confidence_holds_unless_a_frame_says_another(hot_model, images):
    engine = Engine.load(hot_model, **CPU, min_confidence=1.0)
    off = engine(images[0], 1, confidence=True, min_confidence=0)
    below = (off.confidence < 255).mean()
    assert engine.min_confidence == 1.0 and below > 0.1
    assert engine(images[0], 1).unlabeled == pytest.approx(below)
    assert off.unlabeled is None and (off.labels < 255).all()


class Asked:
    """A backend that notes what was asked for: segmentations, and of results which."""

    def __init__(self, backend):
        self._backend, self.asked, self.segmented = backend, [], []

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def first(self, image, mark, segment):
        self.segmented = [segment]
        return self._backend.first(image, mark, segment)

    def next(self, previous, mark, segment):
        self.segmented.append(segment)
        return self._backend.next(previous, mark, segment)

    def download(self, step, confidence, derained, labels):
        self.asked.append((confidence, derained, labels))
        return self._backend.download(step, confidence, derained, labels)


def test_nothing_is_worked_out_that_nobody_takes(tiny_model, images):
    backend = Asked(build(LoadOptions(tiny_model, torch.device('cpu'), 'fp32')))
    engine = Engine(backend)
    engine(images[0], 1)
    engine(images[0], 1, min_confidence=0.5)
    engine(images[0], 1, confidence=True)
    engine(images[0], 1, derained=False)
    assert backend.asked == [(False, True, True), (True, True, True), (True, True, True),
                             (False, False, True)]
    backend.asked.clear()
    for iterations, needed in ((1, [False]), (3, [True, True, False])):
        assert engine(images[0], iterations, labels=False, min_confidence=0.5).labels is None
        assert backend.segmented == needed
    for more in ({'confidence': True}, {'derained': False}):
        assert engine(images[0], 1, labels=False, **more).labels is not None
        assert backend.segmented == [True]
    assert backend.asked == [(False, True, False)] * 2 + [(True, True, True),
                                                          (False, False, True)]
