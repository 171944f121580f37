# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Videos of what is processed: one a camera, frames at their stamps, whole at any end."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import ubcn
from drives import MS, drive, image, picture, write_bag

from ubcn_ros.bags import BagError
from ubcn_ros.bags.process.run import _Run
from ubcn_ros.bags.process.video import video_paths
from ubcn_ros.images.video import read_video

pytest.importorskip('av')


def process(*arguments):
    return ubcn('bag', 'process', *arguments)


def test_a_video_of_each_camera(tmp_path, quick, tiny_engine):
    source = write_bag(tmp_path / 'in.mcap', drive(4))
    done = process(source, tmp_path / 'out', '--video', tmp_path / 'seen.mp4', *quick)
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.glob('*.mp4')} == {'seen.front.mp4', 'seen.rear.mp4'}
    front = list(read_video(tmp_path / 'seen.front.mp4'))
    assert [frame.time_s for frame in front] == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-4)
    frame = tiny_engine(picture(2), iterations=1)
    for place, pane in enumerate((picture(2), frame.derained)):
        shown = front[2].image[:, 40 * place:40 * place + 40].astype(int)
        assert np.corrcoef(shown.mean(2).ravel(), pane.mean(2).ravel())[0, 1] > 0.6


def test_a_single_camera_has_the_name_that_was_given(tmp_path, quick):
    times = (1000, 1040, 1300)
    source = write_bag(tmp_path / 'in.mcap', [
        image('/front/image_raw', n, time) for n, time in enumerate(times)])
    done = process(source, tmp_path / 'out', '--video', tmp_path / 'seen.mp4', *quick)
    assert done.exit_code == 0, done.output
    frames = list(read_video(tmp_path / 'seen.mp4'))
    assert [f.time_s for f in frames] == pytest.approx([0, 0.04, 0.3], abs=1e-4)


def test_stamps_of_a_clock_that_is_set_are_told_once_for_each_video(tmp_path, quick):
    stamps = {'/front/image_raw': (1000, 91_000, 91_100, 500), '/rear/image_raw': (1000, 1100)}
    source = write_bag(tmp_path / 'in.mcap', [
        image(topic, n, 1000 + 100 * n, stamp) for topic, times in stamps.items()
        for n, stamp in enumerate(times)])
    done = process(source, tmp_path / 'out', '--video', tmp_path / 'seen.mp4', *quick)
    assert done.exit_code == 0 and done.output.count('not shown at their times') == 1, done.output
    assert f'Warning: 2 of 4 frames of {tmp_path}/seen.front.mp4 are not shown' in done.output


def test_cameras_have_videos_of_their_own(tmp_path):
    def paths(*topics):
        return video_paths(tmp_path / 'seen.mp4', SimpleNamespace(
            cameras=[SimpleNamespace(topic=topic) for topic in topics]))

    assert [path.name for path in paths('/image', '/a/b/image', '/a_b/image').values()] == [
        'seen.mp4', 'seen.a-b.mp4', 'seen.a_b.mp4']
    with pytest.raises(BagError, match='seen.a-b.mp4: process the cameras one by one'):
        paths('/a/b/image', '/a-b/image')


def test_a_signal_leaves_whole_videos(tmp_path, quick, monkeypatch):
    def stopped(self, writer, item, take=_Run._take):
        if item.record.time_ns >= 1210 * MS:
            os.kill(os.getpid(), signal.SIGINT)
        take(self, writer, item)

    monkeypatch.setattr(_Run, '_take', stopped)
    source = write_bag(tmp_path / 'in.mcap', drive(6))
    done = process(source, tmp_path / 'out', '--video', tmp_path / 'seen.mp4', *quick)
    assert done.exit_code == 128 + signal.SIGINT, done.output
    assert len(list(read_video(tmp_path / 'seen.front.mp4'))) == 2


def test_a_video_of_the_rest_is_refused(tmp_path, quick):
    source = write_bag(tmp_path / 'in.mcap', drive(1))
    done = process(source, tmp_path / 'out', '--resume', '--video', tmp_path / 'a.mp4', *quick)
    assert done.exit_code == 2 and 'only the frames that are left' in done.output
    assert not (tmp_path / 'out').exists()
