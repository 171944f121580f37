# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What processing_size stands for: sizes, their aspect, and what the model was trained for."""

from pathlib import Path

import numpy as np
import pytest

from ubcn_ros.network import UBCNConfig
from ubcn_ros.runtime import ModelFileError, ModelInfo
from ubcn_ros.runtime.processing import (
    NATIVE,
    TRAINED,
    check_processing_size,
    short_side,
    working_size,
)


def info(**metadata):
    return ModelInfo('model', Path('model.safetensors'), '', UBCNConfig(), metadata)


def test_sizes_keep_their_aspect_are_at_most_twice_as_large_and_fit_the_strides():
    random = np.random.default_rng(2)
    for _ in range(300):
        height, width = (int(side) for side in random.integers(32, 3000, 2))
        side = int(random.integers(32, 3000))
        found = working_size(height, width, side) or (height, width)
        assert not found[0] % 8 and not found[1] % 8
        scale = min(side / min(height, width), 2)
        assert min(found) >= 32
        assert scale > 1 or (found[0] <= height and found[1] <= width)
        near = 7 if 1 - 8 / max(height, width) < scale <= 1 else 4
        assert abs(found[0] - scale * height) <= near and abs(found[1] - scale * width) <= near


@pytest.mark.parametrize('image, side, expected', [
    ((480, 640), NATIVE, None), ((480, 640), 480, None), ((482, 647), NATIVE, (480, 640)),
    ((720, 962), 360, (360, 480)), ((1544, 2064), 360, (360, 480)),
    ((1216, 1936), 360, (360, 576)), ((360, 481), 360, (360, 480)), ((33, 39), 32, (32, 32)),
    ((1080, 1920), 360, (360, 640)), ((1080, 1920), 361, (360, 640)),
    # enlarged, by no more than twice, and by so little that one side gets smaller
    ((360, 480), 480, (480, 640)), ((240, 320), 480, (480, 640)), ((200, 320), 480, (400, 640)),
    ((100, 129), 101, (104, 128)),
    # 67.5 times 8 whatever the image's: 540 / 1070 is no number of a computer's
    ((1069, 1900), 540, (544, 960)), ((1070, 1900), 540, (544, 960))])
def test_the_nearest_sides_that_fit_the_strides(image, side, expected):
    assert working_size(*image, side) == expected


@pytest.mark.parametrize('asked, metadata, focal, side', [
    (TRAINED, {}, None, NATIVE), (TRAINED, {}, 1.0, NATIVE), (NATIVE, {}, 1.0, NATIVE),
    (TRAINED, {'trained_short_side': 360}, None, 360),
    (TRAINED, {'trained_short_side': 360}, 0.5, 360),  # the model's own is not known
    (TRAINED, {'trained_short_side': 360, 'trained_focal_length': 1.5}, None, 360),
    # a lens of half the focal length shows everything half as large
    (TRAINED, {'trained_short_side': 360, 'trained_focal_length': 1.5}, 0.75, 720),
    (TRAINED, {'trained_short_side': 360, 'trained_focal_length': 1.5}, 100.0, 32),
    # calibrations of cameras of one type differ, and are of one size
    (TRAINED, {'trained_short_side': 480, 'trained_focal_length': 1.2}, 1.1975, 480),
    (TRAINED, {'trained_short_side': 480, 'trained_focal_length': 1.2}, 1.2015, 480),
    (200, {'trained_short_side': 360, 'trained_focal_length': 1.5}, 0.75, 200)])
def test_what_the_model_was_trained_for(asked, metadata, focal, side):
    assert short_side(asked, info(**metadata), focal) == side


@pytest.mark.parametrize('value', [-2, 1, 31, 8193])
def test_what_is_no_processing_size_is_refused(value):
    with pytest.raises(ValueError, match=f'must be -1, 0, or 32 to 8192, got {value}'):
        check_processing_size(value)


@pytest.mark.parametrize('key, value', [
    ('trained_short_side', 0), ('trained_short_side', '360'), ('trained_short_side', True),
    ('trained_focal_length', 0), ('trained_focal_length', 'x'),
    ('trained_focal_length', float('inf'))])
def test_what_a_file_cannot_say_of_its_training_is_refused(key, value):
    with pytest.raises(ModelFileError, match=f'model.safetensors says that its {key} is'):
        getattr(info(**{key: value}), key)
