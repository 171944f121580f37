# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""13,000 messages, most of them malformed, through the conversion layer: read or refused."""

from collections import Counter
from types import SimpleNamespace

import cv2
import messages
import numpy as np
from fuzzing import any_compressed, any_image

from ubcn_ros.images.messages import MalformedImage, compressed_to_rgb, to_rgb

MESSAGES = 6500


def outcome(convert, message):
    try:
        image = convert(message)
    except MalformedImage as error:
        assert str(error) and len(str(error)) < 1000
        return error.kind
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert min(image.shape[:2]) >= 32
    if convert is to_rgb:
        assert image.shape[:2] == (message.height, message.width)
    return 'image'


def test_images_are_read_or_refused():
    random = np.random.default_rng(0)
    outcomes = Counter(outcome(to_rgb, SimpleNamespace(header=None, **any_image(random)))
                       for _ in range(MESSAGES))
    assert set(outcomes) == {'image', 'encoding', 'size', 'step', 'data'}
    assert min(outcomes.values()) > 100, 'each kind is well covered'


def test_compressed_images_are_read_or_refused():
    random = np.random.default_rng(0)
    outcomes = Counter(outcome(compressed_to_rgb, messages.compressed(any_compressed(random)))
                       for _ in range(MESSAGES))
    assert set(outcomes) == {'image', 'compressed', 'format', 'size'}
    assert min(outcomes.values()) > 100


def test_pieces_of_compressed_images_are_there_twice_or_left_out(monkeypatch):
    encode, whole, longer = cv2.imencode, [], Counter()
    monkeypatch.setattr(cv2, 'imencode',
                        lambda *image: whole.append(encode(*image)[1]) or (True, whole[-1]))
    for seed in range(400):
        data = any_compressed(np.random.default_rng(seed))
        before = whole[-1].tobytes()
        if len(data) != len(before) and (data[:8], data[-8:]) == (before[:8], before[-8:]):
            longer[len(data) > len(before)] += 1
    assert longer[True] > 10 and longer[False] > 10


def test_the_same_seed_draws_the_same_messages():
    one, other = (np.random.default_rng(7) for _ in range(2))
    assert [any_image(one) for _ in range(5)] == [any_image(other) for _ in range(5)]
    assert any_compressed(one) == any_compressed(other)
