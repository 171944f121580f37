# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The engine is warmed up for every batch that the cameras can form, as far as memory goes."""

import pytest
from fake_engine import FakeEngine

from ubcn_ros.node.loading import LARGEST_BATCH, load_and_warm_up
from ubcn_ros.node.parameters import Settings


class Counting(FakeEngine):
    """Notes what it is warmed up for; an image takes `each` milliseconds, a batch `all` more."""

    def __init__(self, behaviour, each=0.0, all=1.0):
        super().__init__(behaviour)
        self.warmed, self.each, self.all = [], each, all
        self.kept = set()

    def batch(self, images, **options):
        frames = super().batch(images, **options)
        for frame in frames:
            frame.timings['total'] = self.all + self.each * len(images)
        return frames

    def warm_up(self, height, width, progress=None, count=1, processing_size=None):
        self.kept.add((height, width, count, processing_size))
        super().warm_up(height, width, progress, count)
        self.warmed.append((height, width, count, processing_size))

    def release(self, height, width, count=1, processing_size=None):
        self.kept.discard((height, width, count, processing_size))


def load(behaviour='fast', times=(), **settings):
    said = []
    engine, most = load_and_warm_up(lambda settings, say: Counting(behaviour, *times),
                                    Settings.of(settings), said.append)
    assert engine.kept == {batch for batch in engine.warmed if batch[2] <= most}
    return engine.warmed, most, said


@pytest.mark.parametrize('behaviour, cameras, most', [
    ('fast', [], 1), ('fast', ['front', 'left', 'right'], 3),
    ('fast', list('abcdef'), LARGEST_BATCH), ('most:2', ['front', 'left', 'right'], 2)])
def test_every_batch_that_can_come_is_warmed_up(behaviour, cameras, most):
    calls, found, said = load(behaviour, cameras=cameras, warm_up_height=48, warm_up_width=64)
    assert calls == [(48, 64, count, -1) for count in range(1, most + 1)] and found == most
    assert said[-1].startswith('warmed up for 64 x 48 in ')
    assert any('memory suffices for 2 of the cameras at a time: MemoryError' in text
               for text in said) == (behaviour == 'most:2')


@pytest.mark.parametrize('times, most', [
    ((4.7, 0.0), 1),  # 4.7 ms each, whatever the batch
    ((4.5, 0.1), 1), ((4.5, 1.0), 2), ((2.7, 2.0), 3), ((1.0, 4.0), 4)])
def test_images_are_taken_together_where_that_is_faster_and_no_further_batch_is_warmed_up(times,
                                                                                          most):
    warmed, found, said = load(times=times, cameras=list('abcdef'), warm_up_height=48,
                               warm_up_width=64)
    assert found == most
    assert [count for _, _, count, _ in warmed] == list(range(1, min(most + 1, 4) + 1))
    assert any(f'images are taken {most} at a time' in text and 'which is not 5 % less' in text
               for text in said) == (most < 4)


def test_a_single_camera_is_not_timed():
    engine, _ = load_and_warm_up(lambda settings, say: Counting('fast'),
                                 Settings.of({'warm_up_height': 48}), lambda text: None)
    assert engine.warmed and not engine.calls


def test_each_processing_size_is_warmed_up_for_its_cameras():
    calls, most, _ = load(cameras=list('abc'), processing_size=[0, 360, 0], warm_up_height=48,
                          warm_up_width=64)
    assert sorted(calls) == [(48, 64, 1, 0), (48, 64, 1, 360), (48, 64, 2, 0)] and most == 3


def test_batches_that_other_sizes_leave_no_room_for_are_given_back():
    class Uneven(Counting):
        def warm_up(self, height, width, progress=None, count=1, processing_size=None):
            self.behaviour = 'most:1' if processing_size == 360 else 'fast'
            super().warm_up(height, width, progress, count, processing_size)

    engine, most = load_and_warm_up(lambda settings, say: Uneven('fast'), Settings.of({
        'cameras': list('abcde'), 'processing_size': [0, 0, 0, 360, 360],
        'warm_up_height': 48, 'warm_up_width': 64}), lambda text: None)
    assert (48, 64, 3, 0) in engine.warmed and most == 1
    assert engine.kept == {(48, 64, 1, 0), (48, 64, 1, 360)}


@pytest.mark.parametrize('side', ['warm_up_height', 'warm_up_width'])
def test_without_a_warm_up_no_batch_is_formed_that_nobody_measured(side):
    assert load(cameras=list('abcdef'), **{side: 0}) == ([], 1, [])


def test_what_is_not_enough_for_one_image_is_an_error():
    with pytest.raises(MemoryError):
        load('most:0')
