# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps come from what the names of files end in, or from a rate."""

from pathlib import Path

import numpy as np
import pytest

from ubcn_ros.bags import BagError
from ubcn_ros.bags.image_source import START_NS, at_rate, image_source
from ubcn_ros.images.files import ImageFileError, write_image

S = 10**9


@pytest.fixture
def source(tmp_path):
    """Find the images of a folder of empty files with these names."""
    def make(*names, **options):
        for name in names:
            (tmp_path / name).touch()
        found = image_source(tmp_path, **options)
        return [(time, path.name) for time, path in found.frames], found.text
    return make


@pytest.mark.parametrize('names, times', [
    (['1700000000.png', '1700000010.jpg'], [1700000000 * S, 1700000010 * S]),
    (['1700000000.25.png', '1700000000.5.png'], [1700000000_250000000, 1700000000_500000000]),
    (['f_1700000000_000000001.png', 'f_1700000000_000000010.png'],
     [1700000000_000000001, 1700000000_000000010]),
    (['1700000000-000000001.png'], [1700000000_000000001]),
    (['1700000000001.png', '1700000000123.png'], [1700000000_001000000, 1700000000_123000000]),
    (['cam1-1700000000000001.png', 'cam2-1700000000000002.png'],
     [1700000000_000001000, 1700000000_000002000]),
    (['x1700000000000000001.png', 'x1700000000000000003.png'],
     [1700000000_000000001, 1700000000_000000003]),
    (['1000000000.png', '2147483647.png'], [1000000000 * S, 2147483647 * S]),
    (['1700000000.png', '1700000000500.png'], [1700000000 * S, 1700000000_500000000]),
], ids=str)
def test_times_are_told_by_how_long_they_are(source, names, times):
    found, text = source(*reversed(names))
    assert found == [*zip(times, names, strict=True)] and text == 'times in the names'


@pytest.mark.parametrize('names, seconds', [
    (['2.png', '10.png', '11.png'], [0, 0.8, 0.9]),
    (['0000000000.png', '0000000003.png'], [0, 0.3]),  # as KITTI has them
    (['a_007.png', 'a_009.jpg'], [0, 0.2]),
    (['0.png'], [0]),
], ids=str)
def test_numbers_count_frames_those_that_are_missing_too(source, names, seconds):
    found, text = source(*reversed(names), rate_hz=10)
    assert found == [(START_NS + round(s * S), name)
                     for s, name in zip(seconds, names, strict=True)]
    assert text == 'numbers in the names, at 10 Hz'


@pytest.mark.parametrize('names, words', [
    (['a.png', '2.png'], 'a.png ends in no time, nor in the number of a frame'),
    (['left_1.png', 'right_1.png'], 'left_1.png and right_1.png differ before their numbers'),
    (['1.png', '01.png'], '1.png end in the same number'),
    (['1.png', '1700000000.png'], '1700000000.png ends in a time, 1.png does not'),
    (['20260102030405.png'], 'ends in no time'),  # 14 digits
    (['9999999999.png'], 'ends in no time'),  # after 2038
    (['1700000000.jpg', '1700000000.png'], 'end in the same number'),
    (['b_1leftImg8bit.png'], 'ends in no time'),
], ids=str)
def test_names_that_do_not_say_it_fall_back_to_the_rate_with_the_reason(source, names, words):
    found, text = source(*names)
    assert [time for time, _ in found] == [START_NS + round(i * S / 15) for i in range(len(names))]
    assert text.startswith('15 Hz in the order of the images (') and words in text
    with pytest.raises(BagError, match=words):
        source(stamps='names')


def test_names_are_left_aside_where_asked(source):
    found, text = source('5.png', '9.png', rate_hz=2, stamps='rate')
    assert found == [(START_NS, '5.png'), (START_NS + S // 2, '9.png')]
    assert text == '2 Hz in the order of the images'


def test_what_is_neither_folder_nor_video_is_named(tmp_path):
    write_image(tmp_path / 'a.png', np.zeros((32, 32, 3), np.uint8))
    (tmp_path / 'notes.txt').write_text('words')
    (tmp_path / 'empty').mkdir()
    for name in ('a.png', 'notes.txt'):
        with pytest.raises(BagError, match=f'{name} is neither a folder of images nor a video'):
            image_source(tmp_path / name)
    with pytest.raises(ImageFileError, match='holds no images'):
        image_source(tmp_path / 'empty')


def test_values_that_cannot_be_are_named(tmp_path):
    for call in (at_rate, image_source):
        with pytest.raises(BagError, match='rate_hz is 0: use more than 0'):
            call(tmp_path if call is image_source else [], 0)
    with pytest.raises(BagError, match="stamps is 'x': choose one of auto, names, rate"):
        image_source(tmp_path, stamps='x')
    late = [Path('0.png'), Path('1.png')]
    with pytest.raises(BagError, match='puts image 2 after the last stamp'):
        list(at_rate(late, 1e-10).frames)


def test_a_video_has_times_of_its_own_or_those_of_a_rate(tmp_path):
    pytest.importorskip('av')
    from ubcn_ros.images.video_writer import VideoWriter
    with VideoWriter(tmp_path / 'a.mp4') as writer:
        for time in (0.0, 0.1, 0.4):
            writer.write(np.zeros((32, 32, 3), np.uint8), time)
    own = image_source(tmp_path / 'a.mp4')
    assert [(time - START_NS) * 10 // S for time, _ in own.frames] == [0, 1, 4]
    assert own.total == 3 and own.text == 'the times of the video'
    for options, step in (({'rate_hz': 20}, S // 20), ({'stamps': 'rate', 'rate_hz': 4}, S // 4)):
        frames = image_source(tmp_path / 'a.mp4', **options).frames
        assert [time for time, _ in frames] == [START_NS + i * step for i in range(3)]
    with pytest.raises(BagError, match='whose frames have no names'):
        image_source(tmp_path / 'a.mp4', stamps='names')
