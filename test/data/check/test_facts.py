# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A scene is judged as training judges it, whatever is done to its files."""

import cv2
import numpy as np
import pytest
from PIL import Image
from random_images import clouds
from small_set import mask, opened

from ubcn_ros.data.check.facts import look_at
from ubcn_ros.data.files import DataSetError


@pytest.fixture
def scene(clean):
    return opened(clean).sets[0].listing('train').scenes[0]


def fails(scene):
    try:
        scene.read()
    except DataSetError:
        return True
    return False


@pytest.mark.parametrize('part', ['image_path', 'label_path'])
@pytest.mark.parametrize('jpeg', [False, True], ids=['PNG', 'JPEG'])
def test_problems_are_what_reading_fails_with(scene, part, jpeg):
    path, rng = getattr(scene, part), np.random.default_rng(0)
    if jpeg:
        path.write_bytes(cv2.imencode('.jpg', clouds(3))[1].tobytes())
    whole, verdicts = path.read_bytes(), set()
    for case in range(40):
        data = bytearray(whole)
        place = int(rng.integers(len(data)))
        data = data[:place] if case % 4 == 0 else data
        if case % 4:
            data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        problems = look_at(scene).problems
        assert bool(problems) == fails(scene), problems
        verdicts.add(bool(problems))
        assert all(path.name in text for _, _, text in problems)
    # of a JPEG not every flipped bit shows; of a mask nothing may pass that is no PNG
    assert verdicts == ({True, False} if jpeg and part == 'image_path' else verdicts | {True})


@pytest.mark.parametrize('orientation', [*range(1, 9), 0, 9, 65535])
@pytest.mark.parametrize('suffix', ['png', 'jpeg'])
def test_orientations(scene, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(clouds(1)).save(scene.image_path, suffix, exif=exif)
    expected = orientation if orientation in range(1, 9) else 1
    assert look_at(scene).orientation == expected


def test_counts_are_of_every_pixel(scene):
    facts = look_at(scene)
    ids, counts = np.unique(mask(), return_counts=True)
    assert dict(facts.counts) == dict(zip(ids.tolist(), counts.tolist(), strict=True))
    assert facts.size == (64, 48) and facts.problems == ()
    scene.label_path.unlink()
    assert look_at(scene).counts is None


def test_pixels_are_the_same_in_another_file(scene):
    before = look_at(scene)
    Image.fromarray(scene.image()).save(scene.image_path, compress_level=0)
    after = look_at(scene)
    assert after.pixels == before.pixels and after.content != before.content
