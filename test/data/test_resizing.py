# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames at another size: pictures are smoothed, labels and depth are not."""

import numpy as np
import pytest

from ubcn_ros.data.resizing import resized, short_sides, shrunk
from ubcn_ros.data.scenes import CleanFrame, Scene, SceneList


@pytest.fixture
def frame():
    random = np.random.default_rng(4)
    return CleanFrame(random.integers(0, 256, (40, 60, 3), np.uint8),
                      random.choice(np.uint8([0, 7, 255]), (40, 60)),
                      random.choice(np.float32([0, 12.5]), (40, 60)),
                      random.integers(0, 256, (40, 60, 3), np.uint8))


@pytest.mark.parametrize('size', [(30, 20), (120, 80), (97, 41)])
def test_all_parts_get_the_size_and_values_of_their_kind(frame, size):
    found = resized(frame, *size)
    for part, before in zip(found, frame, strict=True):
        assert part.shape[:2] == size[::-1] and part.dtype == before.dtype
    assert set(np.unique(found.labels)) <= {0, 7, 255}
    assert set(np.unique(found.depth)) <= {0, 12.5}
    assert abs(found.image.mean() - frame.image.mean()) < 2


def test_labels_stay_where_their_image_is():
    shifts = []
    for width in range(150, 420, 7):
        for edge in range(40, 160, 9):
            image, labels = np.zeros((40, 200, 3), np.uint8), np.zeros((40, 200), np.uint8)
            image[:, edge:] = labels[:, edge:] = 255
            found = resized(CleanFrame(image, labels), width, 40)
            shifts.append((255 - found.labels[0].astype(float)).sum() / 255
                          - (255 - found.image[0, :, 0].astype(float)).sum() / 255)
    assert np.abs(shifts).max() < 0.6 and abs(np.mean(shifts)) < 0.02  # pixels of what comes out


def test_its_own_size_leaves_a_frame_as_it_is(frame):
    assert resized(frame, 60, 40) is frame


def test_parts_that_are_not_there_stay_away(frame):
    assert resized(CleanFrame(frame.image, frame.labels), 30, 20)[2:] == (None, None)


class ArrayScene(Scene):
    """A scene of given height and width, in rain of its own if asked for."""

    def read(self):
        return CleanFrame(self.image(), self.labels(), None,
                          self.image() if self.rainy_path else None)

    def image(self):
        return np.zeros((*self.ids['size'], 3), np.uint8)

    def labels(self):
        return np.full(self.ids['size'], 5, np.uint8)


def scenes(*sizes, **more):
    return SceneList('arrays', None, tuple(
        ArrayScene(str(size), None, None, {'size': size}, **more) for size in sizes))


def test_only_larger_frames_shrink_and_keep_their_aspect():
    found = shrunk(scenes((100, 200), (90, 60), (40, 300), (31, 20)), 40).scenes
    assert [scene.read().image.shape[:2] for scene in found] == [
        (40, 80), (60, 40), (40, 300), (31, 20)]
    assert all(scene.read().labels.shape == scene.image().shape[:2] for scene in found)
    assert found[0].labels().shape == (100, 200)  # as stored, for counting
    assert [scene.name for scene in found] == ['(100, 200)', '(90, 60)', '(40, 300)', '(31, 20)']


def test_of_an_image_alone_nothing_else_is_read():
    class Image(ArrayScene):
        read = labels = depth = None

    scene = Image('a', None, None, {'size': (100, 200)})
    (found,) = shrunk(SceneList('arrays', None, (scene,)), 40).scenes
    assert found.image().shape == (40, 80, 3)


def test_without_a_short_side_nothing_shrinks():
    given = scenes((100, 200))
    assert shrunk(given, 0) is given


def test_rain_of_its_own_is_not_shrunk():
    assert shrunk(scenes((100, 200), rainy_path='x'), 40).scenes[0].read().rainy.shape == (
        100, 200, 3)


def test_short_sides_are_those_of_what_is_read():
    given = scenes((100, 200), (90, 60), (300, 400))
    assert short_sides(given) == [100, 60, 300]
    assert short_sides(shrunk(given, 80)) == [80, 60, 80]


@pytest.mark.parametrize('count', [1, 24, 25, 26, 49, 50, 100])
def test_of_a_long_list_few_frames_are_read(count, monkeypatch):
    reads = []
    monkeypatch.setattr(ArrayScene, 'image', lambda self: reads.append(self) or np.zeros((5, 9)))
    assert {*short_sides(scenes(*[(5, 9)] * count))} == {5}
    assert len(reads) == len({*map(id, reads)}) == min(count, 25)
